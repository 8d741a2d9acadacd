"""What of RFC 9700, OAuth 2.1 and FAPI 2.0 a deployment meets, item by item: rules on settings and clients. Pure."""
