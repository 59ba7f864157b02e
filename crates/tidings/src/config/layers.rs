//! Puts flags, environment, file, profile and defaults together.

use std::fmt;

use serde::Deserialize;
use tidings_core::links::Address;
use tidings_core::topology::Kind;

use super::{
    ApiAddress, Config, DEFAULT_ADDRESSES, Dialling, MAX_NODE_NAME_BYTES, Profile, Switch, check_dial, check_listen,
};
use crate::labels::Labels;

/// What every environment variable begins with.
const ENVIRONMENT_PREFIX: &str = "TIDINGS_";

/// Values as somebody wrote them; absent ones are left to the layers below.
///
/// The keys of `config.toml` are these names, an environment variable is `TIDINGS_` and one of them in capitals, and
/// a flag is the same with hyphens. Unknown keys in the file are errors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// [`Config::name`].
    pub name: Option<String>,
    /// [`Config::addresses`]; separated by commas in the environment.
    pub address: Option<Vec<String>>,
    /// [`Config::bootstrap`]; separated by commas in the environment.
    pub bootstrap: Option<Vec<String>>,
    /// Whether [`Config::dialling`] is [`Dialling::Named`].
    pub no_dial: Option<bool>,
    /// Whether [`Config::mdns`] is [`Switch::Off`].
    pub no_mdns: Option<bool>,
    /// Whether [`Config::dht`] is [`Switch::Off`].
    pub no_dht: Option<bool>,
    /// [`Config::profile`].
    pub profile: Option<String>,
    /// [`Config::topology`].
    pub topology: Option<String>,
    /// [`Config::labels`], each `key=value`; separated by commas in the environment.
    pub labels: Option<Vec<String>>,
    /// [`Config::api`].
    pub api: Option<String>,
    /// [`Config::log`].
    pub log: Option<String>,
    /// [`Config::allow_origin`]; separated by commas in the environment.
    pub allow_origin: Option<Vec<String>>,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A flag, or a call of the library.
    Flag,
    /// An environment variable.
    Environment,
    /// The file `config.toml`.
    File,
    /// What the machine or this build gives.
    Default,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "config.toml",
            Self::Default => "default",
        })
    }
}

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file is not TOML, or has keys that mean nothing.
    #[error("config.toml cannot be read: {reason}. Correct the file or move it away")]
    File {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// A value cannot be used.
    #[error("{key} = {got:?} (from {layer}) cannot be used: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        got: String,
        /// Where it came from.
        layer: Layer,
        /// Why, and what is expected.
        reason: String,
    },
}

impl Settings {
    /// Reads the text of a `config.toml`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::File`].
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::File { reason: error.to_string().trim().replace('\n', " ") })
    }

    /// Reads the variables that begin with `TIDINGS_` and name a key; others are left alone, since programs that
    /// `tidings receive --exec` starts get such variables too.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Value`] where a switch is neither `true` nor `false`.
    pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        for (variable, value) in variables {
            let Some(key) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            match key {
                "NAME" => settings.name = Some(value),
                "ADDRESS" => settings.address = Some(list(&value)),
                "BOOTSTRAP" => settings.bootstrap = Some(list(&value)),
                "NO_DIAL" => settings.no_dial = Some(switch("no_dial", &value)?),
                "NO_DHT" => settings.no_dht = Some(switch("no_dht", &value)?),
                "NO_MDNS" => settings.no_mdns = Some(switch("no_mdns", &value)?),
                "PROFILE" => settings.profile = Some(value),
                "TOPOLOGY" => settings.topology = Some(value),
                "LABELS" => settings.labels = Some(list(&value)),
                "API" => settings.api = Some(value),
                "LOG" => settings.log = Some(value),
                "ALLOW_ORIGIN" => settings.allow_origin = Some(list(&value)),
                _ => {}
            }
        }
        Ok(settings)
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn switch(key: &'static str, text: &str) -> Result<bool, ConfigError> {
    match text {
        "1" | "true" | "yes" | "on" => Ok(true),
        "" | "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(ConfigError::Value {
            key,
            got: text.to_owned(),
            layer: Layer::Environment,
            reason: "expected true or false".to_owned(),
        }),
    }
}

/// The layers that people write, strongest first.
struct Layers([(Layer, Settings); 3]);

impl Layers {
    /// The strongest value of a key, and its layer.
    fn pick<T: Clone>(&self, value: impl Fn(&Settings) -> &Option<T>) -> (Option<T>, Layer) {
        self.0
            .iter()
            .find_map(|(layer, settings)| value(settings).clone().map(|value| (Some(value), *layer)))
            .unwrap_or((None, Layer::Default))
    }
}

impl Config {
    /// Puts the layers together: flags beat the environment, which beats the file, which beats profile and defaults.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Value`] for the first value that cannot be used, with the layer it came from.
    pub fn layers(flags: Settings, environment: Settings, file: Settings) -> Result<Self, ConfigError> {
        let layers = Layers([(Layer::Flag, flags), (Layer::Environment, environment), (Layer::File, file)]);
        let defaults = Self::default();
        let mut from = Vec::new();
        let (name, layer) = layers.pick(|settings| &settings.name);
        from.push(("name", layer));
        let name = name.map_or(Ok(defaults.name), |name| check_name(name, layer))?;
        let (profile, layer) = layers.pick(|settings| &settings.profile);
        from.push(("profile", layer));
        let profile = profile.map_or(Ok(defaults.profile), |name| check_profile(&name, layer))?;
        let (address, layer) = layers.pick(|settings| &settings.address);
        from.push(("address", layer));
        let addresses = check_all("address", address.unwrap_or_default(), layer, check_listen)?;
        let (bootstrap, layer) = layers.pick(|settings| &settings.bootstrap);
        from.push(("bootstrap", layer));
        let bootstrap = check_all("bootstrap", bootstrap.unwrap_or_default(), layer, check_dial)?;
        let (no_dial, layer) = layers.pick(|settings| &settings.no_dial);
        from.push(("no_dial", layer));
        let (no_mdns, layer) = layers.pick(|settings| &settings.no_mdns);
        from.push(("no_mdns", layer));
        let (no_dht, layer) = layers.pick(|settings| &settings.no_dht);
        from.push(("no_dht", layer));
        let (topology, layer) = layers.pick(|settings| &settings.topology);
        from.push(("topology", layer));
        let topology = topology.map_or(Ok(defaults.topology), |text| check_topology(&text, layer))?;
        let (labels, layer) = layers.pick(|settings| &settings.labels);
        from.push(("labels", layer));
        let labels = labels.map_or(Ok(defaults.labels), |texts| check_labels(&texts, layer))?;
        let (api, layer) = layers.pick(|settings| &settings.api);
        from.push(("api", layer));
        let api = api.map_or(Ok(defaults.api), |text| check_api(&text, layer))?;
        let (log, layer) = layers.pick(|settings| &settings.log);
        from.push(("log", layer));
        let (allow_origin, layer) = layers.pick(|settings| &settings.allow_origin);
        from.push(("allow_origin", layer));
        Ok(Self {
            name,
            addresses,
            bootstrap,
            dialling: match no_dial {
                Some(true) => Dialling::Named,
                Some(false) | None => defaults.dialling,
            },
            mdns: match no_mdns {
                Some(true) => Switch::Off,
                Some(false) | None => defaults.mdns,
            },
            dht: match no_dht {
                Some(true) => Switch::Off,
                Some(false) | None => defaults.dht,
            },
            profile,
            topology,
            labels,
            api,
            log: log.unwrap_or(defaults.log),
            allow_origin: allow_origin.unwrap_or_default(),
            layers: from,
        })
    }

    /// Every key with its value as TOML and where it came from, for `run --print-config`.
    pub fn values(&self) -> Vec<(&'static str, String, Layer)> {
        let addresses: Vec<&str> = if self.addresses.is_empty() {
            DEFAULT_ADDRESSES.to_vec()
        } else {
            self.addresses.iter().map(Address::as_str).collect()
        };
        let bootstrap: Vec<&str> = self.bootstrap.iter().map(Address::as_str).collect();
        let origins: Vec<&str> = self.allow_origin.iter().map(String::as_str).collect();
        let value = |key: &'static str, value: toml::Value| {
            let layer = self.layers.iter().find(|(name, _)| *name == key).map_or(Layer::Default, |(_, layer)| *layer);
            (key, value.to_string(), layer)
        };
        vec![
            value("name", self.name.as_str().into()),
            value("profile", self.profile.name().into()),
            value("address", addresses.into()),
            value("bootstrap", bootstrap.into()),
            value("no_dial", (self.dialling == Dialling::Named).into()),
            value("no_mdns", (self.mdns == Switch::Off).into()),
            value("no_dht", (self.dht == Switch::Off).into()),
            value("topology", self.topology.name().into()),
            value("labels", self.labels.texts().into()),
            value("api", self.api.to_string().into()),
            value("log", self.log.as_str().into()),
            value("allow_origin", origins.into()),
        ]
    }
}

fn refused(key: &'static str, got: &str, layer: Layer, reason: &str) -> ConfigError {
    ConfigError::Value { key, got: got.to_owned(), layer, reason: reason.to_owned() }
}

fn check_name(name: String, layer: Layer) -> Result<String, ConfigError> {
    if name.is_empty() || name.len() > MAX_NODE_NAME_BYTES || name.chars().any(char::is_control) {
        let reason = format!("expected 1 to {MAX_NODE_NAME_BYTES} bytes without control characters");
        return Err(refused("name", &name, layer, &reason));
    }
    Ok(name)
}

fn check_profile(name: &str, layer: Layer) -> Result<Profile, ConfigError> {
    name.parse().map_err(|()| {
        let names = Profile::ALL.map(Profile::name).join(", ");
        refused("profile", name, layer, &format!("expected one of {names}"))
    })
}

fn check_topology(text: &str, layer: Layer) -> Result<Kind, ConfigError> {
    text.parse().map_err(|_| {
        let names = Kind::ALL.map(Kind::name).join(", ");
        refused("topology", text, layer, &format!("expected one of {names}"))
    })
}

fn check_labels(texts: &[String], layer: Layer) -> Result<Labels, ConfigError> {
    Labels::from_texts(texts).map_err(|error| refused("labels", &texts.join(","), layer, &error.to_string()))
}

fn check_api(text: &str, layer: Layer) -> Result<ApiAddress, ConfigError> {
    text.parse()
        .map_err(|_| refused("api", text, layer, "expected an IP address with a port, like 127.0.0.1:7420, or off"))
}

fn check_all(
    key: &'static str,
    texts: Vec<String>,
    layer: Layer,
    check: fn(&str) -> Result<Address, &'static str>,
) -> Result<Vec<Address>, ConfigError> {
    texts.into_iter().map(|text| check(&text).map_err(|reason| refused(key, &text, layer, reason))).collect()
}

#[cfg(test)]
mod tests;
