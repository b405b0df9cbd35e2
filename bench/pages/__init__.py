"""Every page of the tenant's portal over 10,000 endpoints and 1,000,000 hours of usage: queries and server time."""
