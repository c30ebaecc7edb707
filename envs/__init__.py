"""Images as Gymnasium environments."""
