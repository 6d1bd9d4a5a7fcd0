"""Pages for people, made of figures: no torch, so that pipelines may make some too."""
