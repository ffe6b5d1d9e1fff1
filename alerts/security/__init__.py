"""Data security: audit events judged by Sigma rules, by correlations over time, and against each actor's own past."""
