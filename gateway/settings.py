"""Every setting of the gateway; the only place that reads the environment.

A value may also come from a file: NAME_FILE=/run/secrets/name is read when NAME is not set. A bad value stops the
start.
`docs/reference/settings.md` lists them all.
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from gateway.kra.fence import read_networks
from gateway.kra.options import read_options
from gateway.lib.crypto import read_master_keys
from gateway.lib.rates import Rate, read_rate

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()
if (BASE_DIR / ".env").exists():
    env.read_env(BASE_DIR / ".env")
FROM_FILES = {"SECRET_KEY", "ENCRYPTION_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_HOST_PASSWORD", "METRICS_TOKEN"}
FROM_FILES |= {"MIGRATE_DATABASE_URL", "ENGINE_DATABASE_URL", "CHORES_DATABASE_URL"}
FROM_FILES |= {"KRA_APP_CONSUMER_KEY", "KRA_APP_CONSUMER_SECRET", "KRA_APP_ID"}
_taken_from: dict[str, str] = {}
for name in [name for name in os.environ if name.endswith("_FILE")]:
    target = name.removesuffix("_FILE")
    if target in FROM_FILES:
        try:
            text = Path(os.environ[name]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ImproperlyConfigured(f"{name} names {os.environ[name]}, which cannot be read: {reason}.") from error
        if os.environ.setdefault(target, text) == text:
            _taken_from[target] = os.environ[name]

# Safety: DEBUG shows internals to visitors, so it is off unless asked for
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY")
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("SECRET_KEY must have at least 32 characters.")
# Earlier values of SECRET_KEY: links and sessions made with them still work
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
SYSTEM_URL = env.str("SYSTEM_URL", default="http://127.0.0.1:8000").rstrip(
    "/"
)  # how people reach us; links start with it

# Master keys for everything sealed at rest: 32 bytes in base64 each, the newest first, older ones kept to read with
try:
    ENCRYPTION_KEYS = read_master_keys(env.str("ENCRYPTION_KEY"))
except ValueError as error:
    raise ImproperlyConfigured(f"ENCRYPTION_KEY {error}") from error
# Where they came from: a running process looks there again when it meets a key it does not know
ENCRYPTION_KEY_FILE = _taken_from.get("ENCRYPTION_KEY", "")

# Behind a proxy that ends TLS: its X-Forwarded-Proto and the last entry of its X-Forwarded-For are believed
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)

# Who may onboard companies: operators only, or (demo) everybody who reaches us
OPEN_ONBOARDING = env.bool("OPEN_ONBOARDING", default=False)


# How often somebody may call, as in 600/minute; empty: as often as they like. Counted in Redis if there is one
def _rate(name: str, text: str) -> Rate | None:
    try:
        return read_rate(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}.") from error


LIMIT_PER_KEY = _rate("LIMIT_PER_KEY", env.str("LIMIT_PER_KEY", default="2000/second"))
LIMIT_PER_ADDRESS = _rate("LIMIT_PER_ADDRESS", env.str("LIMIT_PER_ADDRESS", default="10000/second"))
LIMIT_WRONG_KEYS = _rate("LIMIT_WRONG_KEYS", env.str("LIMIT_WRONG_KEYS", default="60/minute"))  # per address
# Web pages elsewhere whose scripts may call the API; nobody's cookies count there, so a key is needed all the same
CORS_ALLOWED_ORIGINS = env.list("CORS_ALLOWED_ORIGINS", default=[])
for text in CORS_ALLOWED_ORIGINS:
    if urlsplit(text).scheme not in {"http", "https"} or text != f"{urlsplit(text).scheme}://{urlsplit(text).netloc}":
        raise ImproperlyConfigured(f"CORS_ALLOWED_ORIGINS: {text!r} is no origin such as https://shop.example.com.")


def _options(texts: dict[str, str], environment: str) -> dict[str, str | int]:
    try:
        return read_options(texts, environment=environment)
    except ValueError as error:
        raise ImproperlyConfigured(f"The options of KRA's {environment} profile: {error}.") from error


# KRA: where its hosts are, and how this installation talks to them
KRA_ENVIRONMENT = env.str("KRA_ENVIRONMENT", default="sandbox")  # the default of new devices, nothing else
if KRA_ENVIRONMENT not in {"sandbox", "production"}:
    raise ImproperlyConfigured("KRA_ENVIRONMENT must be sandbox or production.")
KRA_SANDBOX_PROFILE = env.str("KRA_SANDBOX_PROFILE", default="oscu_direct_sandbox")
KRA_SANDBOX_BASE_URL = env.str("KRA_SANDBOX_BASE_URL", default="")  # empty: the profile's own
KRA_PROD_PROFILE = env.str("KRA_PROD_PROFILE", default="oscu_direct_production")
KRA_PROD_BASE_URL = env.str("KRA_PROD_BASE_URL", default="")
# Where KRA's sources disagree: parts of the profile by name, as in amount_profile=exclusive,quantity_decimals=3
KRA_SANDBOX_OPTIONS = _options(env.dict("KRA_SANDBOX_OPTIONS", default={}), "sandbox")
KRA_PROD_OPTIONS = _options(env.dict("KRA_PROD_OPTIONS", default={}), "production")
KRA_SANDBOX_RECEIPT_URL = env.str("KRA_SANDBOX_RECEIPT_URL", default="")  # what the QR code opens; empty: the profile's

# Where a company's own VSCU may be reached: it gives us its address, so it must not choose one of ours or of the cloud
try:
    VSCU_NETWORKS = read_networks(
        env.list(
            "VSCU_NETWORKS",
            default=[
                "10.0.0.0/8",
                "172.16.0.0/12",
                "192.168.0.0/16",
                "100.64.0.0/10",  # many VPNs
                "fc00::/7",
                "127.0.0.0/8",  # this machine: the gateway stands in the shop itself
                "::1/128",
            ],
        )
    )
except ValueError as error:
    raise ImproperlyConfigured(f"VSCU_NETWORKS must be networks such as 10.0.0.0/8: {error}.") from error

# GavaConnect: the integrator's own app at KRA's API gateway; needed by the gavaconnect profiles, shown to no other host
KRA_APP_CONSUMER_KEY = env.str("KRA_APP_CONSUMER_KEY", default="")  # with the secret it buys the bearer tokens
KRA_APP_CONSUMER_SECRET = env.str("KRA_APP_CONSUMER_SECRET", default="")
KRA_APP_ID = env.str("KRA_APP_ID", default="")  # sent as apigee_app_id with every call
_app = [KRA_APP_CONSUMER_KEY, KRA_APP_CONSUMER_SECRET, KRA_APP_ID]
if any(_app) and not all(_app):
    raise ImproperlyConfigured("KRA_APP_CONSUMER_KEY, KRA_APP_CONSUMER_SECRET and KRA_APP_ID belong together.")

# Redis carries hints and chores, never a sale; empty: none is used (one process, or the slow poll between several)
REDIS_URL = env.str("REDIS_URL", default="")
if REDIS_URL and urlsplit(REDIS_URL).scheme not in {"redis", "rediss"}:
    raise ImproperlyConfigured("REDIS_URL must start with redis:// or rediss://.")
# Cache: counters and look-ups that may be lost at any moment; shared between processes only where there is Redis
CACHES: dict[str, dict[str, object]] = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
if REDIS_URL:
    CACHES["redis"] = {  # itself, for who asks whether it is well
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "gateway",
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},  # a sick Redis must not hold a request
    }
    CACHES["default"] = {**CACHES["redis"], "BACKEND": "gateway.tenants.caching.SharedCache"}

# Periodic work (wiring.SCHEDULE): with a broker Celery runs it (rows of setup_celery_beat), without a thread of `serve`
CELERY_BROKER_URL = REDIS_URL or None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True  # workers may start before Redis does
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TIMEZONE = "Africa/Nairobi"
CELERY_TASK_IGNORE_RESULT = True  # what a chore did stands in the database
CELERY_TASK_TIME_LIMIT = env.int("CELERY_TASK_TIME_LIMIT", default=3600)  # seconds; a chore that hangs is ended
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # LOGGING below, with its masking, stays in force
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # a long report does not keep short chores behind it
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]  # nothing in Redis is ever unpickled

# The engine: how long a caller may wait, and how lanes rest after a failure (seconds)
ENGINE_LATE_SECONDS = env.float("ENGINE_LATE_SECONDS", default=300.0)  # a request may land at KRA this late
ENGINE_REST_SECONDS = tuple(float(text) for text in env.list("ENGINE_REST_SECONDS", default=["1", "2", "5"]))
ENGINE_LEASE_SECONDS = env.float("ENGINE_LEASE_SECONDS", default=15.0)
ENGINE_WAITING_LIMIT = env.int("ENGINE_WAITING_LIMIT", default=2000)  # requests a process lets wait for their receipt
ENGINE_WAITING_LIMIT_COMPANY = env.int("ENGINE_WAITING_LIMIT_COMPANY", default=400)

# A sale with an item that is not registered: register it first when the line says enough, or refuse the sale
ITEMS_UNKNOWN = env.str("ITEMS_UNKNOWN", default="register")
if ITEMS_UNKNOWN not in {"register", "refuse"}:
    raise ImproperlyConfigured("ITEMS_UNKNOWN must be register or refuse.")

ROOT_URLCONF = "gateway.urls"
WSGI_APPLICATION = None
AUTH_USER_MODEL = "tenants.User"
# The pages at /admin/ for our own staff: they read every company's rows, so where nobody needs them, switch them off
ADMIN_ENABLED = env.bool("ADMIN_ENABLED", default=True)
INSTALLED_APPS = [
    "gateway.dashboard",  # first: its templates stand before those of the libraries
    "unfold.apps.BasicAppConfig",
    "django.contrib.admin.apps.SimpleAdminConfig",  # the site is our own: dashboard.operators
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "gateway.tenants",
    "gateway.audit",
    "gateway.lanes",
    "gateway.devices",
    "gateway.catalog",
    "gateway.stock",
    "gateway.purchases",
    "gateway.sales",
    "gateway.reports",
    "gateway.ops",
    *(
        ["django_celery_beat"] if REDIS_URL else []
    ),  # without a broker nothing reads its tables, and it costs 0.3 s a start
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "gateway.tenants.scope.PageScope",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "gateway.dashboard.sessions.SessionTimes",
    "axes.middleware.AxesMiddleware",  # last: turns the answer to a locked-out login into the page that says so
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# Database: SQLite for the embedded shape, PostgreSQL for production
DATABASE_URL = env.str("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'gateway.sqlite3'}")


def _database_at(url: str) -> dict[str, Any]:
    database: dict[str, Any] = env.db_url_config(url)
    if database["ENGINE"] == "django.db.backends.sqlite3":
        Path(database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
        database["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",  # a read that turns into a write cannot fail half-way
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    elif urlsplit(url).scheme in {"postgres", "postgresql"}:
        database["CONN_MAX_AGE"] = 600
        database["CONN_HEALTH_CHECKS"] = True
    else:
        raise ImproperlyConfigured("A database's URL must start with sqlite:// or postgres://.")
    return database


_database = _database_at(DATABASE_URL)
# PostgreSQL with row-level security: one database, several roles. Each that is not named connects as the web does
DATABASE_ROLES: dict[str, Any] = {
    "web": _database,  # pages and API: owns nothing, sees one company at a time
    "owner": env.str("MIGRATE_DATABASE_URL", default=""),  # owns the tables: migrate, secure_database
    "engine": env.str("ENGINE_DATABASE_URL", default=""),  # the engine's own statements, of all companies
    "chores": env.str("CHORES_DATABASE_URL", default=""),  # periodic work and commands, of all companies
}
for role, url in DATABASE_ROLES.items():
    if isinstance(url, str):
        DATABASE_ROLES[role] = _database if url in {"", DATABASE_URL} else _database_at(url)
# As which of them this process connects; manage.py and Celery choose by what they are asked to do
DATABASE_ROLE = env.str("DATABASE_ROLE", default="web")
os.environ.pop("DATABASE_ROLE", None)  # a process that this one starts chooses for itself
if DATABASE_ROLE not in {"web", "owner", "chores"}:
    raise ImproperlyConfigured("DATABASE_ROLE must be web, owner or chores.")
DATABASES = {"default": DATABASE_ROLES[DATABASE_ROLE]}

# Whether `serve` runs the periodic work in a thread: the one process of SQLite does, on PostgreSQL Celery's beat does
RUN_SCHEDULER = env.bool("RUN_SCHEDULER", default=_database["ENGINE"] == "django.db.backends.sqlite3")

# How long what is not fiscal is kept (days); invoices and receipts are never cleaned up
RETENTION_ATTEMPT_DAYS = env.int("RETENTION_ATTEMPT_DAYS", default=400)  # messages to KRA: a year and a month to argue
RETENTION_KEY_DAYS = env.int("RETENTION_KEY_DAYS", default=90)  # expired keys stay to explain why they stopped
RETENTION_CALL_DAYS = env.int("RETENTION_CALL_DAYS", default=90)  # calls to the API: a quarter to ask who did it
if min(RETENTION_ATTEMPT_DAYS, RETENTION_KEY_DAYS, RETENTION_CALL_DAYS) < 1:
    raise ImproperlyConfigured("RETENTION_ATTEMPT_DAYS, RETENTION_KEY_DAYS and RETENTION_CALL_DAYS must be 1 or more.")

# How many years events stay in the database before `partitions --archive-to` may write them to a file. Tax Procedures
# Act s. 23: five years from the end of the period concerned
RETENTION_EVENT_YEARS = env.int("RETENTION_EVENT_YEARS", default=7)
if RETENTION_EVENT_YEARS < 5:
    raise ImproperlyConfigured("RETENTION_EVENT_YEARS must be 5 or more: Tax Procedures Act s. 23.")

# How long a sale can be credited: warned after so many days, refused after so many months unless the staff allows it.
# VAT Act practice is six months from the invoice
CREDIT_NOTE_WARN_DAYS = env.int("CREDIT_NOTE_WARN_DAYS", default=150)
CREDIT_NOTE_MONTHS = env.int("CREDIT_NOTE_MONTHS", default=6)
if CREDIT_NOTE_WARN_DAYS < 1 or CREDIT_NOTE_MONTHS < 1:
    raise ImproperlyConfigured("CREDIT_NOTE_WARN_DAYS and CREDIT_NOTE_MONTHS must be 1 or more.")

# The journal: where each day's signed anchor is mailed to, best a box that nobody of this installation can delete from
ANCHOR_EMAIL = env.str("ANCHOR_EMAIL", default="")

# Mail: alerts to the people in ADMINS; without EMAIL_HOST mail is written to standard output
KRA_LOGO = env.str("KRA_LOGO", default="")  # PNG or JPEG file that KRA supplies; without one its place stays empty
COMPANY_NAME = env.str("COMPANY_NAME", default="Revpay Connect")  # who runs this installation
SUPPORT_EMAIL = env.str("SUPPORT_EMAIL", default="support@localhost")  # sender, and whom customers may ask
ADMINS = [(address.partition("@")[0], address) for address in env.list("ADMINS", default=[])]
EMAIL_HOST = env.str("EMAIL_HOST", default="")
EMAIL_PORT = env.int("EMAIL_PORT", default=587)
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", default=True)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", default="")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", default="")
EMAIL_TIMEOUT = 20  # seconds
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
EMAIL_SUBJECT_PREFIX = f"[{COMPANY_NAME}] "
DEFAULT_FROM_EMAIL = SERVER_EMAIL = SUPPORT_EMAIL

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# People in the browser, under /account/: allauth asks who they are, axes stops guessing, nobody signs up by themselves
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses who is locked out before a password is looked at
    "allauth.account.auth_backends.AuthenticationBackend",
]
LOGIN_URL = "/account/login/"
LOGIN_REDIRECT_URL = "/home/"
ACCOUNT_ADAPTER = "gateway.dashboard.accounts.Accounts"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # the link of an invitation proved the address
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True  # a mail for each change of password or second step
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # an address that we do not know gets no mail
ACCOUNT_LOGOUT_REDIRECT_URL = LOGIN_URL
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_SESSION_REMEMBER = False  # the cookie goes with the browser
ACCOUNT_DEFAULT_HTTP_PROTOCOL = urlsplit(SYSTEM_URL).scheme
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600  # seconds; after that a change of the second step asks for the password again
# Axes counts wrong passwords of one person from one address. These two slow down who tries many names from one address
# or one name from many; and who knows a password and tries the six digits
ACCOUNT_RATE_LIMITS = {"password_failed": "60/5m/ip,20/5m/key", "login_failed": "5/5m/key"}
_FORMS = "gateway.dashboard.account_forms"
ACCOUNT_FORMS = {
    "login": f"{_FORMS}.LoginForm",
    "reauthenticate": f"{_FORMS}.ReauthenticateForm",
    "change_password": f"{_FORMS}.ChangePasswordForm",
    "reset_password": f"{_FORMS}.ResetPasswordForm",
    "reset_password_from_key": f"{_FORMS}.ResetPasswordKeyForm",
}
MFA_FORMS = {
    "authenticate": f"{_FORMS}.CodeForm",
    "reauthenticate": f"{_FORMS}.ReauthenticateCodeForm",
    "activate_totp": f"{_FORMS}.ActivateTOTPForm",
}
MFA_ADAPTER = "gateway.dashboard.accounts.SecondStep"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = COMPANY_NAME
MFA_TOTP_TOLERANCE = 1  # steps of 30 seconds that a phone's clock may differ
# Whether our own staff need the second step before they reach the operators' pages
OPERATORS_NEED_TOTP = env.bool("OPERATORS_NEED_TOTP", default=True)

LOGIN_FAILURE_LIMIT = env.int("LOGIN_FAILURE_LIMIT", default=5)  # wrong passwords of one person from one address
LOGIN_LOCKED_MINUTES = env.int("LOGIN_LOCKED_MINUTES", default=15)
if min(LOGIN_FAILURE_LIMIT, LOGIN_LOCKED_MINUTES) < 1:
    raise ImproperlyConfigured("LOGIN_FAILURE_LIMIT and LOGIN_LOCKED_MINUTES must be 1 or more.")
AXES_FAILURE_LIMIT = LOGIN_FAILURE_LIMIT
AXES_COOLOFF_TIME = timedelta(minutes=LOGIN_LOCKED_MINUTES)
# Both together: whoever knows a colleague's address cannot lock them out from elsewhere, nor a shop its whole office
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # "15 minutes" must come true for whoever tries meanwhile
AXES_USERNAME_FORM_FIELD = "email"
AXES_LOCKOUT_CALLABLE = "gateway.dashboard.accounts.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False  # names and addresses stay out of its log lines

UNFOLD = {
    "SITE_TITLE": COMPANY_NAME,
    "SITE_HEADER": COMPANY_NAME,
    "SITE_SUBHEADER": "eTIMS Gateway",
    "SITE_URL": "/home/",
    "SITE_SYMBOL": "receipt_long",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/dashboard/icon.svg"}],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {
        "primary": {"500": "oklch(0.60 0.12 160)", "600": "oklch(0.48 0.11 160)", "700": "oklch(0.42 0.10 160)"}
    },
}

# Sessions: how long one lives in all, and how long it may lie idle
SESSION_HOURS = env.int("SESSION_HOURS", default=12)
SESSION_IDLE_MINUTES = env.int("SESSION_IDLE_MINUTES", default=60)
if min(SESSION_HOURS, SESSION_IDLE_MINUTES) < 1:
    raise ImproperlyConfigured("SESSION_HOURS and SESSION_IDLE_MINUTES must be 1 or more.")
SESSION_ENGINE = "gateway.tenants.sessions"  # in the database: cookies only as hashes, contents sealed
SESSION_COOKIE_AGE = SESSION_HOURS * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
INVITATION_DAYS = env.int("INVITATION_DAYS", default=7)  # how long the link of an invitation opens
if INVITATION_DAYS < 1:
    raise ImproperlyConfigured("INVITATION_DAYS must be 1 or more.")

# Pages: over HTTPS only when people reach us that way, and with nothing loaded from elsewhere
IS_HTTPS = SYSTEM_URL.startswith("https://")
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = IS_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SECURE_SSL_REDIRECT = IS_HTTPS and BEHIND_PROXY
HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000)  # browsers then refuse plain HTTP for so long
SECURE_HSTS_SECONDS = HSTS_SECONDS if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # preloading binds a whole domain, which only its owner can decide
CONTENT_SECURITY_POLICY = {  # of every page that sets no stricter one of its own
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

LANGUAGE_CODE = "en"
TIME_ZONE = "Africa/Nairobi"
USE_TZ = True
USE_I18N = False
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns of a folder that is not there
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576  # a request over 1 MB is refused

# Seeing it: logs are JSON, one object a line; with DEBUG they are for people's eyes. Secrets are masked in both
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
LOG_JSON = env.bool("LOG_JSON", default=not DEBUG)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "gateway.ops.logs.formatter", "as_json": LOG_JSON}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "propagate": True},  # not Django's own handlers besides
        "axes": {"level": "WARNING"},  # four lines for each sign-in otherwise
    },
}
# Who may read /metrics besides this machine itself: whoever sends `Authorization: Bearer <token>`
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("METRICS_TOKEN must have at least 16 characters.")
