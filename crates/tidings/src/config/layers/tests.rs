use super::*;

fn settings(name: &str) -> Settings {
    Settings { name: Some(name.to_owned()), ..Settings::default() }
}

fn layer_of(config: &Config, key: &str) -> Layer {
    config.values().into_iter().find(|(name, ..)| *name == key).map(|(.., layer)| layer).unwrap()
}

#[test]
fn flags_beat_environment_beats_file_beats_default() {
    let none = Settings::default;
    let all = Config::layers(settings("flag"), settings("env"), settings("file")).unwrap();
    assert_eq!(all.name, "flag");
    assert_eq!(layer_of(&all, "name"), Layer::Flag);
    let two = Config::layers(none(), settings("env"), settings("file")).unwrap();
    assert_eq!(two.name, "env");
    assert_eq!(layer_of(&two, "name"), Layer::Environment);
    let one = Config::layers(none(), none(), settings("file")).unwrap();
    assert_eq!(one.name, "file");
    assert_eq!(layer_of(&one, "name"), Layer::File);
    let zero = Config::layers(none(), none(), none()).unwrap();
    assert_eq!(zero.name, Config::default().name);
    assert_eq!(layer_of(&zero, "name"), Layer::Default);
}

#[test]
fn the_environment_names_keys_in_capitals() {
    let variables = [
        ("TIDINGS_NAME", "ada"),
        ("TIDINGS_BOOTSTRAP", "/ip4/192.0.2.1/tcp/4001, /dns/example.org/udp/4001/quic-v1"),
        ("TIDINGS_NO_MDNS", "1"),
        ("TIDINGS_NO_DHT", "true"),
        ("TIDINGS_TOPOLOGY", "star"),
        ("TIDINGS_LABELS", "room=kitchen, floor=2"),
        ("TIDINGS_DIR", "/somewhere"),
        ("PATH", "/bin"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let environment = Settings::from_environment(variables).unwrap();
    let config = Config::layers(Settings::default(), environment, Settings::default()).unwrap();
    assert_eq!(config.name, "ada");
    assert_eq!(config.mdns, Switch::Off);
    assert_eq!(config.dht, Switch::Off);
    assert_eq!(config.topology, Kind::Star);
    assert_eq!(config.labels.texts(), ["floor=2", "room=kitchen"]);
    assert_eq!(
        config.bootstrap,
        [Address::new("/ip4/192.0.2.1/tcp/4001").unwrap(), Address::new("/dns/example.org/udp/4001/quic-v1").unwrap()]
    );
}

#[test]
fn a_switch_that_is_neither_on_nor_off_is_refused() {
    let variables = [("TIDINGS_NO_DIAL".to_owned(), "maybe".to_owned())];
    assert_eq!(
        Settings::from_environment(variables).unwrap_err().to_string(),
        "no_dial = \"maybe\" (from environment) cannot be used: expected true or false"
    );
}

#[test]
fn unknown_keys_of_the_file_are_errors() {
    let error = Settings::from_toml("nmae = \"ada\"").unwrap_err().to_string();
    assert!(error.starts_with("config.toml cannot be read: "), "{error}");
    assert!(error.contains("unknown field `nmae`"), "{error}");
    assert!(error.ends_with("Correct the file or move it away"), "{error}");
}

#[test]
fn values_that_cannot_be_used_name_their_layer_and_what_is_expected() {
    let refusal = |file: &str| {
        Config::layers(Settings::default(), Settings::default(), Settings::from_toml(file).unwrap())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refusal("address = [\"localhost:4001\"]"),
        "address = \"localhost:4001\" (from config.toml) cannot be used: expected an address like \
         /ip4/0.0.0.0/udp/4001/quic-v1"
    );
    assert_eq!(
        refusal("profile = \"toaster\""),
        "profile = \"toaster\" (from config.toml) cannot be used: expected one of server, desktop, phone, \
         phone-background"
    );
    assert_eq!(
        refusal("topology = \"web\""),
        "topology = \"web\" (from config.toml) cannot be used: expected one of mesh, ring, hierarchical, star, adaptive"
    );
    assert_eq!(
        refusal("labels = [\"room=1\", \"room=2\"]"),
        "labels = \"room=1,room=2\" (from config.toml) cannot be used: expected each key once, got \"room\" twice"
    );
    assert_eq!(
        refusal("api = \"7420\""),
        "api = \"7420\" (from config.toml) cannot be used: expected an IP address with a port, like \
         127.0.0.1:7420, or off"
    );
    assert_eq!(
        refusal("name = \"\""),
        "name = \"\" (from config.toml) cannot be used: expected 1 to 64 bytes without control characters"
    );
    for bootstrap in ["/ip4/192.0.2.1/tcp/0", "/ip4/192.0.2.1", "/ip4/192.0.2.1/tcp/80/ws"] {
        assert!(refusal(&format!("bootstrap = [\"{bootstrap}\"]")).contains("a node dials"));
    }
}

#[test]
fn printed_values_are_read_back_as_the_same_configuration() {
    let file = Settings::from_toml(
        "name = \"a \\\"b\\\"\"\naddress = [\"/ip4/127.0.0.1/tcp/4001\"]\nno_dial = true\napi = \"off\"\n\
         topology = \"ring\"\nlabels = [\"a=1,2\", \"b=\"]\n",
    )
    .unwrap();
    let config = Config::layers(Settings::default(), Settings::default(), file).unwrap();
    let printed: String = config.values().into_iter().map(|(key, value, _)| format!("{key} = {value}\n")).collect();
    let again = Settings::from_toml(&printed).unwrap();
    let again = Config::layers(Settings::default(), Settings::default(), again).unwrap();
    assert_eq!(again.name, config.name);
    assert_eq!(again.addresses, config.addresses);
    assert_eq!(again.dialling, config.dialling);
    assert_eq!(again.api, config.api);
    assert_eq!(again.topology, Kind::Ring);
    assert_eq!(again.labels.texts(), ["a=1,2", "b="]);
    assert_eq!(again.labels, config.labels);
}
