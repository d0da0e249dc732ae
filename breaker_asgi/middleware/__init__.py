"""The middleware: guards the routes of any ASGI application."""
