"""The demo's training, a process of its own; nothing else imports this folder, since it needs scikit-learn."""
