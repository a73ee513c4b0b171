"""The page *Sequence deliveries*: queries, figures, templates and routes. Only the API server imports it."""
