"""What will change before it changes, and what was changed by others: pure functions over Kubernetes objects."""
