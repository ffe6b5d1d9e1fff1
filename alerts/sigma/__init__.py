"""A Sigma engine: many rules over streams of flat events, whoever wrote the rules and whatever the events tell."""
