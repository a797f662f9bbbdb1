"""Who may ask: API keys, hosts and origins, quotas."""
