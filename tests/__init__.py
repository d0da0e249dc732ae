import pytest

pytest.register_assert_rewrite("breaker_asgi.testing.stores", "breaker_asgi.testing.model")
