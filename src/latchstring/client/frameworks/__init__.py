"""Connecting in web frameworks, a module each; only that module imports the framework."""
