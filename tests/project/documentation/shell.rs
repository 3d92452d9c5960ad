//! Checks of shell commands.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use latchkey_dev::stack::tool;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::process::Command;
use std::str::Chars;

use super::example::{claims, event, has_all};
use super::page::{Page, assert_found, assert_none, pages, read, root};
use super::stack::Template;

/// The simple commands of a script, each as its words. Bodies of here-documents and comments are left out.
pub(super) fn commands(script: &str) -> Vec<Vec<String>> {
    let mut text = String::new();
    let mut end = None::<String>;
    for line in script.lines() {
        match &end {
            Some(word) if line == word => end = None,
            Some(_) => {}
            None => {
                end = line
                    .split_once("<<'")
                    .and_then(|(_, rest)| Some(rest.split_once('\'')?.0.to_owned()));
                text.push_str(line.split("<<'").next().unwrap());
                text.push('\n');
            }
        }
    }
    let text = text.replace("\\\n", " ");
    let mut found = Vec::new();
    simple_commands(&mut text.chars().peekable(), &mut found);
    found
}

fn simple_commands(text: &mut Peekable<Chars<'_>>, found: &mut Vec<Vec<String>>) {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut quote = None;
    while let Some(c) = text.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => word.get_or_insert_default().extend(text.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '$') if text.peek() == Some(&'(') => {
                text.next();
                simple_commands(text, found);
                word.get_or_insert_default().push_str("(output)");
            }
            (None, '#') if word.is_none() => while text.next_if(|c| *c != '\n').is_some() {},
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '\n' | '|' | '&' | ';' | ')') => {
                words.extend(word.take());
                if !words.is_empty() {
                    found.push(std::mem::take(&mut words));
                }
                if c == ')' {
                    return;
                }
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if !words.is_empty() {
        found.push(words);
    }
}

fn is_assignment(word: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    word.split_once('=').is_some_and(|(name, _)| is_name(name))
}

/// The sources that commands in the documentation are checked against.
struct Tools {
    makefile: String,
    manifest: String,
    template: Template,
    openapi: Value,
    /// A cache of the options of `sam` commands.
    sam: RefCell<BTreeMap<String, String>>,
    /// A cache of the members of AWS operations, by `service operation`.
    aws: RefCell<BTreeMap<String, Option<BTreeSet<String>>>>,
}

/// Programs of the system. Their options are not checked.
const SYSTEM: [&str; 10] = [
    "cat",
    "curl",
    "export",
    "moto_server",
    "openssl",
    "printf",
    "python3",
    "read",
    "tr",
    "unset",
];

/// Options of the AWS CLI itself.
const AWS_OPTIONS: [&str; 4] = ["--endpoint-url", "--output", "--query", "--region"];

/// Prints the options of an AWS operation: the names of its members, as the AWS CLI spells them.
const OPTIONS_OF: &str = r#"
import sys
import botocore.session
from botocore import xform_name

service, operation = sys.argv[1:]
model = botocore.session.get_session().get_service_model(service)
names = {xform_name(name, "-"): name for name in model.operation_names}
for member in model.operation_model(names[operation]).input_shape.members:
    print(xform_name(member, "-"))
"#;

impl Tools {
    fn load() -> Self {
        Self {
            makefile: read("Makefile"),
            manifest: read("Cargo.toml"),
            template: Template::of(&read("template.yaml")),
            openapi: serde_json::from_str(&read("src/doors/http/openapi.json")).unwrap(),
            sam: RefCell::default(),
            aws: RefCell::default(),
        }
    }

    fn check(&self, words: &[String]) -> Result<(), String> {
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .skip_while(|word| is_assignment(word))
            .collect();
        let Some((program, arguments)) = words.split_first() else {
            return Ok(());
        };
        match program.rsplit('/').next().unwrap_or(program) {
            "make" => self.make(arguments),
            "cargo" => self.cargo(arguments),
            "latchkey" => latchkey(arguments),
            "sam" => self.sam(arguments),
            "aws" => self.aws(arguments),
            "curl" => self.curl(arguments),
            name if SYSTEM.contains(&name) => Ok(()),
            name => Err(format!("no check for the program `{name}`")),
        }
    }

    fn make(&self, arguments: &[&str]) -> Result<(), String> {
        let (variables, targets): (Vec<&str>, Vec<&str>) =
            arguments.iter().partition(|word| is_assignment(word));
        for target in &targets {
            if !self.makefile.contains(&format!("\n.PHONY: {target}\n")) {
                return Err(format!("no target `{target}`"));
            }
        }
        for variable in variables {
            let name = variable.split('=').next().unwrap();
            let is_of = |line: &str| {
                line.contains(&format!("make {} ", targets[0]))
                    && line.contains(&format!("{name}="))
            };
            if !self.makefile.lines().any(is_of) {
                return Err(format!(
                    "`make help` has no variable `{name}` of `{}`",
                    targets[0]
                ));
            }
        }
        Ok(())
    }

    fn cargo(&self, arguments: &[&str]) -> Result<(), String> {
        match arguments {
            ["build", "--release", "--bin", name]
                if self.manifest.contains(&format!("name = \"{name}\"")) =>
            {
                Ok(())
            }
            _ => Err(format!("no check for `cargo {}`", arguments.join(" "))),
        }
    }

    fn sam(&self, arguments: &[&str]) -> Result<(), String> {
        let is_name = |word: &&&str| {
            !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        };
        let command: Vec<&str> = arguments.iter().take_while(is_name).copied().collect();
        let help = self.sam_help(&command)?;
        let rest = arguments[command.len()..].iter().copied();
        let mut last = "";
        for word in rest {
            if word.starts_with("--") {
                if !help.split([' ', '\n', ',']).any(|known| known == word) {
                    return Err(format!(
                        "`sam {}` has no option `{word}`",
                        command.join(" ")
                    ));
                }
                last = word;
                continue;
            }
            match last {
                "" if self.template.resources.contains_key(word) => {}
                "" => return Err(format!("no resource `{word}` in template.yaml")),
                "--template" | "--event" | "--event-file" | "--env-vars"
                    if !root().join(word).exists() =>
                {
                    return Err(format!("no file {word}"));
                }
                "--parameter-overrides" => {
                    let name = word.split('=').next().unwrap();
                    if !self.template.parameters.contains_key(name) {
                        return Err(format!("no parameter `{name}` in template.yaml"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn sam_help(&self, command: &[&str]) -> Result<String, String> {
        let name = command.join(" ");
        if let Some(help) = self.sam.borrow().get(&name) {
            return Ok(help.clone());
        }
        let home = tempfile::tempdir().unwrap();
        let output = tool("sam", "sam")
            .unwrap()
            .into_std()
            .env("HOME", home.path())
            .env("SAM_CLI_TELEMETRY", "0")
            .args(command)
            .arg("--help")
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(format!("no command `sam {name}`"));
        }
        let help = String::from_utf8(output.stdout).unwrap();
        self.sam.borrow_mut().insert(name, help.clone());
        Ok(help)
    }

    fn aws(&self, arguments: &[&str]) -> Result<(), String> {
        let mut operands = Vec::new();
        let mut options = Vec::new();
        let mut words = arguments.iter().copied().peekable();
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                operands.push(word);
                continue;
            }
            options.push(word);
            let value = words.next_if(|next| !next.starts_with("--"));
            let outputs = value
                .filter(|_| word == "--query")
                .and_then(|value| value.split_once("OutputKey=='"));
            if let Some((_, rest)) = outputs {
                let name = rest.split('\'').next().unwrap();
                if !self.template.outputs.contains_key(name) {
                    return Err(format!("no output `{name}` in template.yaml"));
                }
            }
        }
        let [service, operation] = operands.as_slice() else {
            return Err(format!(
                "`aws {}` is not a service and an operation",
                operands.join(" ")
            ));
        };
        let known = self.members(service, operation);
        let known = known.ok_or(format!("no operation `aws {service} {operation}`"))?;
        let is_known = |option: &&&str| {
            AWS_OPTIONS.contains(option) || known.contains(option.trim_start_matches('-'))
        };
        match options.iter().find(|option| !is_known(option)) {
            Some(option) => Err(format!(
                "`aws {service} {operation}` has no option `{option}`"
            )),
            None => Ok(()),
        }
    }

    /// The options of an operation, made from its description in the AWS SDK for Python, as the AWS CLI makes them.
    fn members(&self, service: &str, operation: &str) -> Option<BTreeSet<String>> {
        let name = format!("{service} {operation}");
        let mut known = self.aws.borrow_mut();
        let members = known.entry(name).or_insert_with(|| {
            let mut python = tool("aws", "python").unwrap().into_std();
            let output = python
                .args(["-c", OPTIONS_OF, service, operation])
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            output
                .status
                .success()
                .then(|| text.split_whitespace().map(str::to_owned).collect())
        });
        members.clone()
    }

    fn curl(&self, arguments: &[&str]) -> Result<(), String> {
        let mut words = arguments.iter().copied();
        let (mut url, mut method) = (None, "get");
        while let Some(word) = words.next() {
            match word {
                "--header" => drop(words.next()),
                "--data" => {
                    method = "post";
                    event(words.next().unwrap_or_default())?;
                }
                _ if word.starts_with('-') => return Err(format!("no check for `curl {word}`")),
                _ => url = Some(word),
            }
        }
        let path = url
            .and_then(|url| url.strip_prefix("$url"))
            .ok_or("no `$url`")?;
        let steps: Vec<&str> = path.split('/').collect();
        let fits = |route: &str| {
            let route: Vec<&str> = route.split('/').collect();
            let same = |(step, wanted): (&&str, &&str)| step == wanted || wanted.starts_with('{');
            route.len() == steps.len() && steps.iter().zip(&route).all(same)
        };
        let routes = self.openapi["paths"].as_object().unwrap();
        match routes
            .iter()
            .any(|(route, methods)| fits(route) && methods.get(method).is_some())
        {
            true => Ok(()),
            false => Err(format!("no route {method} {path}")),
        }
    }
}

/// Checks arguments with the command line itself. `--help` makes it parse the arguments and run nothing.
pub(super) fn latchkey(arguments: &[&str]) -> Result<(), String> {
    let program = env!("CARGO_BIN_EXE_latchkey");
    // Words that stand for a value.
    let arguments = arguments
        .iter()
        .map(|word| if *word == "MINUTES" { "5" } else { word });
    let output = Command::new(program)
        .args(arguments)
        .arg("--help")
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

/// Returns true if Bash can read a script.
fn is_script(text: &str) -> bool {
    let output = Command::new("bash")
        .args(["-n", "-c", text])
        .output()
        .unwrap();
    output.status.success()
}

fn shell(pages: &[Page], tools: &Tools) -> Vec<String> {
    let mut findings = Vec::new();
    for page in pages {
        let parts = page.parts();
        let blocks = parts.blocks.iter().filter(|block| block.language == "sh");
        let scripts = blocks.map(|block| (block.text.as_str(), &block.place));
        let is_command = |span: &str| {
            let mut words = span.split(' ');
            let program = words.next().unwrap_or_default();
            words
                .next()
                .is_some_and(|word| word.starts_with(|c: char| c.is_ascii_lowercase() || c == '-'))
                && ["make", "latchkey", "sam", "aws"].contains(&program)
        };
        let spans = parts.spans.iter().filter(|(span, _)| is_command(span));
        for (script, place) in scripts.chain(spans.map(|(span, place)| (span.as_str(), place))) {
            if !is_script(script) {
                findings.push(format!("{place}: not a script that Bash can read"));
                continue;
            }
            for command in commands(script) {
                if let Err(error) = tools.check(&command) {
                    findings.push(format!("{place}: {error}"));
                }
            }
        }
        for block in &parts.blocks {
            if !["json", "sh", "text"].contains(&block.language.as_str()) {
                findings.push(format!(
                    "{}: a code block with the unknown language `{}`",
                    block.place, block.language
                ));
            }
        }
    }
    findings
}

#[test]
fn commands_and_their_options_exist() {
    let tools = Tools::load();
    assert_none(&shell(&pages(), &tools));
    for (script, words) in [
        ("make burn", "no target `burn`"),
        ("make run SPEED=1", "no variable `SPEED`"),
        (
            "cargo build --release --bin latchkeys",
            "no check for `cargo",
        ),
        ("target/release/latchkey rotate --dryrun", "--dryrun"),
        ("target/release/latchkey doctor", "doctor"),
        ("sam fly", "no command `sam fly`"),
        ("sam deploy --guide", "no option `--guide`"),
        (
            "sam deploy --parameter-overrides HaUrl=a Colour=blue",
            "no parameter `Colour`",
        ),
        (
            "sam remote invoke OtherFunction",
            "no resource `OtherFunction`",
        ),
        (
            "sam local invoke LatchkeyFunction --event events/none.json",
            "no file events/none.json",
        ),
        (
            "aws ssm put-parameters --name a",
            "no operation `aws ssm put-parameters`",
        ),
        ("aws ssm put-parameter --names a", "no option `--names`"),
        (
            "x=$(aws ssm put-parameter --names a)",
            "no option `--names`",
        ),
        (
            "printf a | aws ssm put-parameter --names a",
            "no option `--names`",
        ),
        (
            "aws cloudformation describe-stacks --query \"[?OutputKey=='Url']\"",
            "no output `Url`",
        ),
        ("curl \"$url/helth\"", "no route get /helth"),
        ("curl --data '{\"comand\":{}}' \"$url/commands\"", "comand"),
        ("wget x", "no check for the program `wget`"),
        ("echo 'open", "not a script"),
    ] {
        let page = Page::made(&format!("```sh\n{script}\n```\n"));
        assert_found(&shell(&[page], &tools), words);
    }
    assert_found(
        &shell(&[Page::made("`make burn`")], &tools),
        "no target `burn`",
    );
    assert_found(
        &shell(&[Page::made("```yaml\na: b\n```")], &tools),
        "`yaml`",
    );
}

#[test]
fn a_script_is_split_into_its_commands() {
    let script = "a=$(b --c \"d e\" | f) g 'h | i' \\\n  j # k\nl <<'END'\nm\nEND\nn && o";
    let found = commands(script);
    let found: Vec<String> = found.iter().map(|words| words.join(" ")).collect();
    assert_eq!(
        found,
        ["b --c d e", "f", "a=(output) g h | i j", "l", "n", "o"]
    );
}

/// Runs the script that makes a caller's token, with a secret in place of the stored one, and returns the token.
fn minted(script: &str, secret: &str) -> String {
    let script = format!("aws() {{ printf %s '{secret}'; }}\n{script}");
    let output = Command::new("bash")
        .args(["-euc", &script])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Checks a token as latchkey does: its signature by the secret, and its claims.
pub(super) fn token(text: &str, secret: &str) -> Result<(), String> {
    let (signed, signature) = text.rsplit_once('.').ok_or("no signature")?;
    let bytes = |part: &str| {
        URL_SAFE_NO_PAD
            .decode(part)
            .map_err(|error| error.to_string())
    };
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    ring::hmac::verify(&key, signed.as_bytes(), &bytes(signature)?)
        .map_err(|_| "another signature")?;
    let (_, payload) = signed.split_once('.').ok_or("no payload")?;
    let payload: Value =
        serde_json::from_slice(&bytes(payload)?).map_err(|error| error.to_string())?;
    has_all(&payload, &["iss", "aud", "sub", "exp", "permissions"])?;
    claims(&payload)
}

#[test]
fn the_documented_script_signs_a_good_token() {
    let parts = Page::open("docs/callers-and-permissions.md").parts();
    let script = parts
        .blocks
        .iter()
        .find(|block| block.text.contains("hmac.new"))
        .unwrap();
    let secret = "0123456789abcdef0123456789abcdef";
    let good = minted(&script.text, secret);
    assert_eq!(token(&good, secret), Ok(()));
    assert_eq!(token(&good, "another"), Err("another signature".to_owned()));
    let worse = script.text.replace("call:light.*:", "cal:light.*:");
    assert!(
        token(&minted(&worse, secret), secret)
            .unwrap_err()
            .contains("not a permission")
    );
}
