"""Offline: what else a frozen teacher may do, such as answer more and more clearly."""
