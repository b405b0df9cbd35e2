"""`make demo`: two models on this machine, deployed and called through the portal's own doors."""
