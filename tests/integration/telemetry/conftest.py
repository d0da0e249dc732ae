from tests.telemetry.conftest import folder, hostile

__all__ = ["folder", "hostile"]
