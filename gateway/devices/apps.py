from django.apps import AppConfig


class DevicesConfig(AppConfig):
    name = "gateway.devices"
    label = "devices"
    default_auto_field = "django.db.models.BigAutoField"
