//! Tests of checking and framing commands, and of parsing the home's messages.

use serde_json::json;

use super::*;

#[test]
fn new_rejects_invalid_commands() {
    assert!(Command::new(json!({"type": "get_states"})).is_ok());
    assert!(Command::new(json!({"type": "no/such/command"})).is_ok());
    for (value, error) in [
        (json!([]), CommandError::NotAnObject("an array")),
        (json!("get_states"), CommandError::NotAnObject("a string")),
        (json!({}), CommandError::NoType),
        (json!({"type": 5}), CommandError::NoType),
        (json!({"type": " "}), CommandError::NoType),
        (json!({"type": "ping", "id": 1}), CommandError::HasId),
        (json!({"type": "ping", "id": null}), CommandError::HasId),
        (
            json!({"type": "auth", "access_token": "x"}),
            CommandError::ChangesSession("`auth`".into()),
        ),
        (
            json!({"type": "supported_features", "features": {}}),
            CommandError::ChangesSession("`supported_features`".into()),
        ),
        (
            json!({"type": "subscribe_events"}),
            CommandError::Streams("`subscribe_events`".into()),
        ),
        (
            json!({"type": "history/stream/subscribe"}),
            CommandError::Streams("`history/stream/subscribe`".into()),
        ),
    ] {
        assert_eq!(Command::new(value.clone()), Err(error), "{value}");
    }
}

#[test]
fn frame_is_an_object_for_one_command_and_a_list_for_several() {
    let ping = Command::new(json!({"type": "ping"})).unwrap();
    let read = |text: String| serde_json::from_str::<Value>(&text).unwrap();
    assert_eq!(
        read(frame(&[ping.text()], 7)),
        json!({"id": 7, "type": "ping"})
    );
    assert_eq!(
        read(frame(&[ping.text(), ping.text()], 7)),
        json!([{"id": 7, "type": "ping"}, {"id": 8, "type": "ping"}])
    );
}

#[test]
fn frame_keeps_numbers_and_strings_as_written() {
    let text = r#" { "type" : "ping","x":[1e15, 1.50,-0,123456789012345678901234567890],"y":"\u00e9\/" } "#;
    let command = Command::parse(text).unwrap();
    let frame = frame(&[command.text()], 7);
    assert_eq!(
        frame,
        r#"{"id":7, "type" : "ping","x":[1e15, 1.50,-0,123456789012345678901234567890],"y":"\u00e9\/" }"#
    );
    assert!(frame.len() <= command.frame_bytes());
}

#[test]
fn command_with_a_duplicate_member_is_rejected() {
    for text in [
        r#"{"type":"ping","type":"get_states"}"#,
        r#"{"type":"call_service","target":{"entity_id":"light.a","entity_id":"lock.b"}}"#,
    ] {
        let error = Command::parse(text).unwrap_err();
        assert!(matches!(error, CommandError::NotJson(_)), "{error}");
    }
    assert_eq!(
        Command::parse(r#"{"type":"ping","\u0069d":1}"#),
        Err(CommandError::HasId)
    );
}

#[test]
fn parse_classifies_messages_of_the_home() {
    let one = |value: Value| parse(&value.to_string().into()).unwrap().remove(0);
    assert!(matches!(
        one(json!({"type": "auth_ok", "ha_version": "2025.4.4"})),
        Incoming::AuthOk { version } if version == "2025.4.4"
    ));
    assert!(matches!(
        one(json!({"type": "auth_invalid", "message": "no"})),
        Incoming::AuthInvalid
    ));
    assert!(matches!(
        one(json!({"id": 3, "type": "result", "success": true, "result": null})),
        Incoming::Answer {
            id: 3,
            answer: Answer::Success(_)
        }
    ));
    assert!(matches!(
        one(json!({"id": 3, "type": "result", "success": false, "error": {"code": "not_found", "message": "m"}})),
        Incoming::Answer { answer: Answer::Failure(CommandFailure { code, .. }), .. } if code == "not_found"
    ));
    assert!(matches!(
        one(json!({"id": 3, "type": "event", "event": {}})),
        Incoming::Other
    ));
    assert_eq!(
        parse(&r#"[{"type":"event"},{"id":1,"type":"pong"}]"#.into())
            .unwrap()
            .len(),
        2
    );
    for text in ["", "{}", "[1]", "nothing", r#"{"type":"result","id":1}"#] {
        assert_eq!(parse(&text.into()).err(), Some(Malformed), "{text}");
    }
}

#[test]
fn result_keeps_the_homes_original_text() {
    let frame = r#"[{"id":1,"type":"result","success":true,"result":{"a": [1,  2]}}]"#;
    let Incoming::Answer {
        answer: Answer::Success(Some(result)),
        ..
    } = parse(&frame.into()).unwrap().remove(0)
    else {
        panic!("no result");
    };
    assert_eq!(result.get(), r#"{"a": [1,  2]}"#);
    assert_eq!(serde_json::to_string(&result).unwrap(), result.get());
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".*") {
        let _ = parse(&text.into());
    }

    #[test]
    fn arbitrary_messages_never_panic(
        kind in "auth_ok|result|event|pong|[a-z]*",
        id in proptest::option::of(-3i64..5),
        success in proptest::option::of(proptest::bool::ANY),
    ) {
        let _ = parse(&json!({"type": kind, "id": id, "success": success}).to_string().into());
    }
}
