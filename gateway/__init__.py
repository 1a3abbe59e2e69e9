"""The service: one endpoint in front of many models. `completion.py` shows a request's whole way."""

__version__ = "0.1.0"
