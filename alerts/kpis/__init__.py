"""KPIs of a chain: counted by minute, merged over partitions, judged against what is usual."""
