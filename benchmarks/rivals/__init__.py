"""Other servers of the same models: each with an environment of its own (``envs/``), an application (``apps/``) and a class."""
