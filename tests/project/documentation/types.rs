//! The TypeScript types of WebSocket messages, generated from the AsyncAPI document.

use serde_json::Value;

use super::page::read;

/// The variable that makes the test write the file instead of comparing it.
const WRITE: &str = "LATCHKEY_WRITE_TYPES";
const DOCUMENT: &str = "src/doors/http/asyncapi.json";
const TYPES: &str = "docs/websocket.d.ts";

/// Returns the type of a schema. Supports the keywords that the document uses.
fn type_of(schema: &Value, indent: usize) -> String {
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    let union = |types: Vec<String>| types.join(" | ");
    if let Some(values) = schema["enum"].as_array() {
        return union(values.iter().map(Value::to_string).collect());
    }
    if let Some(schemas) = schema["oneOf"].as_array() {
        return union(schemas.iter().map(|it| type_of(it, indent)).collect());
    }
    match &schema["type"] {
        Value::Array(kinds) => union(kinds.iter().map(simple).collect()),
        kind if kind == "object" => object(schema, indent),
        kind if kind == "array" => format!("({})[]", type_of(&schema["items"], indent)),
        Value::Null => "unknown".to_owned(),
        kind => simple(kind),
    }
}

fn simple(kind: &Value) -> String {
    match kind.as_str().unwrap() {
        "integer" | "number" => "number",
        kind @ ("string" | "boolean" | "null") => kind,
        other => panic!("no type {other}"),
    }
    .to_owned()
}

fn object(schema: &Value, indent: usize) -> String {
    let Some(properties) = schema["properties"].as_object() else {
        return "Record<string, unknown>".to_owned();
    };
    let required = schema["required"].as_array();
    let inner = "  ".repeat(indent + 1);
    let mut lines = vec!["{".to_owned()];
    for (name, rule) in properties {
        let is_required = required.is_some_and(|names| names.iter().any(|it| it == name.as_str()));
        let mark = if is_required { "" } else { "?" };
        lines.push(format!(
            "{inner}{name}{mark}: {};",
            type_of(rule, indent + 1)
        ));
    }
    if schema["additionalProperties"] == true {
        lines.push(format!("{inner}[member: string]: unknown;"));
    }
    lines.push(format!("{}}}", "  ".repeat(indent)));
    lines.join("\n")
}

/// Returns the name of a message's type: `haAuthOk` becomes `HaAuthOkMessage`.
fn type_name(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest + "Message"
}

fn types(document: &Value) -> String {
    let mut text = "// The messages of latchkey's WebSocket connections. Made from /asyncapi.json; do not edit.\n\
                    // Names that begin with Ha are messages of Home Assistant's own protocol.\n"
        .to_owned();
    for (name, message) in document["components"]["messages"].as_object().unwrap() {
        let (name, summary) = (type_name(name), message["summary"].as_str().unwrap());
        let payload = type_of(&message["payload"], 0);
        text.push_str(&format!(
            "\n/** {summary}. */\nexport type {name} = {payload};\n"
        ));
    }
    for (operation, name, summary) in [
        ("receive", "ClientMessage", "A message of a client"),
        ("send", "ServerMessage", "A frame for a client"),
    ] {
        let messages = document["operations"][operation]["messages"]
            .as_array()
            .unwrap();
        let names = messages.iter().map(|message| {
            let reference = message["$ref"].as_str().unwrap();
            type_name(reference.rsplit('/').next().unwrap())
        });
        let names: Vec<String> = names.map(|name| format!("\n  | {name}")).collect();
        text.push_str(&format!(
            "\n/** {summary}. */\nexport type {name} ={};\n",
            names.concat()
        ));
    }
    text
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the variable asks for a new file"
)]
fn typescript_types_are_those_of_the_asyncapi_document() {
    let document: Value = serde_json::from_str(&read(DOCUMENT)).unwrap();
    let made = types(&document);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(super::page::root().join(TYPES), &made).unwrap();
    }
    assert!(
        made == read(TYPES),
        "{TYPES} is not up to date: run this test with {WRITE}=1"
    );
}
