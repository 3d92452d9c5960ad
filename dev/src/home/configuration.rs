//! The configuration of the home.

use serde_json::{Value, json};

/// Returns the result of `get_config` and `GET /api/config`, which includes the home's location.
pub(super) fn configuration(version: &str) -> Value {
    json!({
        "allowlist_external_dirs": ["/config/www", "/media"],
        "allowlist_external_urls": [],
        "components": ["api", "auth", "cover", "http", "light", "lock", "switch", "websocket_api"],
        "config_dir": "/config",
        "config_source": "storage",
        "country": "NL",
        "currency": "EUR",
        "debug": false,
        "elevation": 2,
        "external_url": null,
        "internal_url": null,
        "language": "en",
        "latitude": 52.373_8,
        "location_name": "Simulated home",
        "longitude": 4.890_9,
        "radius": 100,
        "recovery_mode": false,
        "safe_mode": false,
        "state": "RUNNING",
        "time_zone": "Europe/Amsterdam",
        "unit_system": {
            "accumulated_precipitation": "mm", "area": "m²", "length": "km", "mass": "g",
            "pressure": "Pa", "temperature": "°C", "volume": "L", "wind_speed": "m/s",
        },
        "version": version,
        "whitelist_external_dirs": ["/config/www", "/media"],
    })
}
