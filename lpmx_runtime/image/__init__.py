"""Operations that join registries, the store and files."""
