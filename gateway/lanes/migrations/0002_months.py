"""On PostgreSQL, attempts and events lie in a table for each month; nothing changes on SQLite.

Both tables are made anew with what they had: rows, constraints, indexes, triggers, rights and policies. A key must hold
the time by which the table is parted, so each gets it as its last column. What fits no month goes to `…_default`, and
`make_months` moves it from there. Months are Nairobi's.

The two functions run with the owner's rights, for the chores own no table: they may make months, and drop those of
attempts, which they may delete anyway. They give up after 3 seconds of waiting for a lock and are called again.
"""

from typing import Any

from django.db import migrations

PARTED = {"audit_event": "at", "lanes_attempt": "started_at"}
AHEAD = 3

FUNCTIONS = """
CREATE FUNCTION make_months(parent text, first date, last date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    key text := CASE parent WHEN 'audit_event' THEN 'at' WHEN 'lanes_attempt' THEN 'started_at' END;
    rest text := parent || '_default';
    months timestamp[];
    month timestamp;
    part text;
    begins timestamptz;
    ends timestamptz;
    made bigint := 0;
BEGIN
    IF key IS NULL THEN
        RAISE EXCEPTION '% is not parted by month', parent;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('make_months'));
    EXECUTE format(
        'SELECT array_agg(wanted) FROM ('
        'SELECT generate_series(date_trunc(''month'', %L::timestamp), %L::timestamp, ''1 month'') AS wanted '
        'UNION SELECT date_trunc(''month'', %I AT TIME ZONE ''Africa/Nairobi'') FROM %I ORDER BY 1) months',
        first, last, key, rest) INTO months;
    FOREACH month IN ARRAY months
    LOOP
        part := parent || to_char(month, '_YYYY_MM');
        CONTINUE WHEN to_regclass(part) IS NOT NULL;
        begins := month AT TIME ZONE 'Africa/Nairobi';
        ends := (month + interval '1 month') AT TIME ZONE 'Africa/Nairobi';
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', rest);
        EXECUTE format(
            'CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)', part, parent);
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', rest);
        EXECUTE format(
            'WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
            rest, key, begins, key, ends, part);
        EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', rest);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, begins, ends);
        IF parent = 'audit_event' THEN  -- of the parent's triggers only those for each row come along
            EXECUTE format(
                'CREATE TRIGGER audit_event_stays BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                'EXECUTE FUNCTION audit_append_only(''the journal is append-only'')', part);
        END IF;
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

CREATE FUNCTION drop_old_attempts(before timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET lock_timeout = '3s' AS $$
DECLARE
    part text;
    counted bigint;
    dropped bigint;
BEGIN
    DELETE FROM lanes_attempt_default WHERE started_at < before;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    FOR part IN
        SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent = 'lanes_attempt'::regclass AND relname ~ '_[0-9]{{4}}_[0-9]{{2}}$'
            AND (to_date(right(relname, 7), 'YYYY_MM') + interval '1 month') AT TIME ZONE 'Africa/Nairobi' <= before
    LOOP
        EXECUTE format('SELECT count(*) FROM %I', part) INTO counted;
        EXECUTE format('DROP TABLE %I', part);
        dropped := dropped + counted;
    END LOOP;
    RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION make_months(text, date, date), drop_old_attempts(timestamptz) FROM PUBLIC;
"""

# What a table has beside its rows, as statements that give it to a table of the same name
BELONGINGS = """
SELECT format('ALTER TABLE %%I ADD CONSTRAINT %%I %%s', c.relname, conname, CASE contype WHEN 'f' THEN pg_get_constraintdef(k.oid)
        ELSE left(pg_get_constraintdef(k.oid), -1) || format(', %%I)', %(key)s) END)
    FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid WHERE conrelid = %(table)s::regclass AND contype IN ('p', 'u', 'f')
UNION ALL
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %(table)s::regclass AND NOT indisunique
UNION ALL
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = %(table)s::regclass AND NOT tgisinternal
UNION ALL
SELECT format('ALTER TABLE %%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relname)
    FROM pg_class WHERE oid = %(table)s::regclass AND relrowsecurity
UNION ALL
SELECT format('CREATE POLICY %%I ON %%I TO %%s USING (%%s) WITH CHECK (%%s)', policyname, tablename,
        (SELECT string_agg(quote_ident(role), ', ') FROM unnest(roles) role), qual, with_check)
    FROM pg_policies WHERE schemaname = current_schema() AND tablename = %(table)s
UNION ALL
SELECT format('GRANT %%s ON %%I TO %%I', privilege_type, relname, pg_get_userbyid(grantee))
    FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = %(table)s::regclass AND grantee NOT IN (0, relowner)
UNION ALL
SELECT format('GRANT %%s (%%I) ON %%I TO %%I', privilege_type, attname, relname, pg_get_userbyid(grantee))
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, aclexplode(attacl)
    WHERE pg_class.oid = %(table)s::regclass AND grantee NOT IN (0, relowner)
"""


def part_by_month(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT quote_ident(current_schema())")
        cursor.execute(FUNCTIONS.format(schema=cursor.fetchone()[0]))
        for table, key in PARTED.items():
            _part(cursor, table, key)


def _part(cursor: Any, table: str, key: str) -> None:
    cursor.execute(BELONGINGS, {"table": table, "key": key})
    belongings = [statement for (statement,) in cursor.fetchall()]
    cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [table])
    next_id = cursor.fetchone()[0]
    cursor.execute(f"ALTER TABLE {table} RENAME TO {table}_whole")
    cursor.execute(
        f"CREATE TABLE {table} (LIKE {table}_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE) "
        f"PARTITION BY RANGE ({key})"
    )
    cursor.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    cursor.execute(
        f"SELECT count(make_months(%s, month::date, month::date)) FROM (SELECT DISTINCT "
        f"date_trunc('month', {key} AT TIME ZONE 'Africa/Nairobi') AS month FROM {table}_whole) months",
        [table],
    )
    cursor.execute(
        "SELECT make_months(%s, today, (today + make_interval(months => %s))::date) "
        "FROM (SELECT (now() AT TIME ZONE 'Africa/Nairobi')::date AS today) days",
        [table, AHEAD],
    )
    cursor.execute(f"INSERT INTO {table} SELECT * FROM {table}_whole")
    cursor.execute(f"DROP TABLE {table}_whole")
    cursor.execute(f"ALTER TABLE {table} ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH {next_id})")
    for statement in belongings:
        cursor.execute(statement)
    if table == "audit_event":
        cursor.execute(
            "CREATE TRIGGER audit_event_stays BEFORE TRUNCATE ON audit_event_default FOR EACH STATEMENT "
            "EXECUTE FUNCTION audit_append_only('the journal is append-only')"
        )


class Migration(migrations.Migration):
    replaces = [("lanes", "0005_months")]
    dependencies = [("lanes", "0001_tables"), ("audit", "0002_append_only")]
    operations = [migrations.RunPython(part_by_month)]
