"""Raw log lines of other systems, as audit events: JSON logs, PostgreSQL's pgaudit, access logs of web servers."""
