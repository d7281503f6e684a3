from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "gateway.tenants"
    label = "tenants"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from gateway.tenants import checks  # it needs the models, which are not there before

        del checks  # importing it has registered it
