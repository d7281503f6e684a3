from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "gateway.dashboard"
    label = "dashboard"

    def ready(self) -> None:
        from gateway.dashboard.account_events import connect  # needs the models of all apps

        connect()
