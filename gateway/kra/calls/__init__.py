"""The calls beside sales, items and basic data, by subject: functions that take a client."""
