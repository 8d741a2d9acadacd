"""Where grants, clients and people are kept: one definition of schema and statements, one module per engine."""
