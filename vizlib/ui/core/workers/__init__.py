"""The worker processes of the app: how they begin, what they have imported, and what they do before their first order."""
