"""What was used and what it costs: by day, model, key, member and place, with what is expected and the limit."""
