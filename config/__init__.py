"""Settings and the files that people edit: features, rules, dashboards."""
