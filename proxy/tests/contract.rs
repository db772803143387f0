//! What programs rely on: the metrics page keeps Prometheus's conventions, and the server does what
//! its description of the API says.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use support::{Answer, Server, TestProxy, Wire, admin};

async fn proxy_with_some_history() -> (TestProxy, Server) {
    let a = Server::named("a").await;
    let servers = format!("{} name=a weight=2\nhttp://127.0.0.1:1 name=gone max=3", a.line());
    let proxy = TestProxy::start_with(servers, |settings| {
        settings.admin = Some(admin(None));
        settings.sessions = Some(rondel_proxy::session::SessionSettings::default());
    })
    .await;
    for _ in 0..5 {
        proxy.get("/").await;
    }
    (proxy, a)
}

async fn ask(proxy: &TestProxy, method: &str, path: &str, body: &str) -> Answer {
    let at = proxy.admin.unwrap();
    let mut wire = Wire::connect(at).await;
    wire.write(format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let head = wire.read_head().await.unwrap();
    let body = match (head.status(), head.field("content-type")) {
        (204, _) => Vec::new(),
        (_, Some("text/event-stream")) => wire.read_chunk().await.unwrap(),
        _ => wire.read_body(&head).await.unwrap(),
    };
    Answer { head, body }
}

#[tokio::test]
async fn the_metrics_page_keeps_the_conventions() {
    let (proxy, _a) = proxy_with_some_history().await;
    let page = ask(&proxy, "GET", "/metrics", "").await;
    assert_eq!(page.head.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let families = families(page.text());
    for family in families.values() {
        family.check();
    }
    assert!(families.len() > 20);
    assert!(families.values().any(|family| family.kind == "histogram"));
}

#[tokio::test]
async fn the_grafana_dashboard_and_the_alerts_use_metrics_and_labels_that_exist() {
    let (proxy, _a) = proxy_with_some_history().await;
    let page = ask(&proxy, "GET", "/metrics", "").await;
    let families = families(page.text());
    let series: HashSet<&str> = families
        .values()
        .flat_map(|family| &family.samples)
        .map(|sample| sample.name.as_str())
        .collect();
    let labels: HashSet<&str> = families
        .values()
        .flat_map(|family| &family.samples)
        .flat_map(|sample| &sample.labels)
        .map(|(label, _)| label.as_str())
        .chain(["instance"])
        .collect();
    for (file, at_least) in [("grafana.json", 15), ("alerts.yml", 8)] {
        let path = format!("{}/dist/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let word = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
        let used: HashSet<_> =
            text.split(word).filter(|word| word.starts_with("rondel_")).collect();
        assert!(used.len() >= at_least, "{file}: {used:?}");
        for name in used {
            assert!(series.contains(name), "{file} uses {name}");
        }
        for (name, label, values) in matchers(&text) {
            let of = families.values().flat_map(|family| &family.samples);
            let of = of.filter(|sample| sample.name == name).flat_map(|sample| &sample.labels);
            let of: HashSet<_> = of.filter(|(known, _)| known == label).map(|(_, v)| v).collect();
            for value in values.split('|') {
                assert!(of.contains(&value.to_owned()), "{file}: {name} has no {label} {value}");
            }
        }
        // `by (a, b)` names labels.
        for by in text.split("by (").skip(1) {
            for label in by.split(')').next().unwrap().split(", ") {
                assert!(labels.contains(label), "{file} sums by {label}");
            }
        }
    }
    let dashboard =
        std::fs::read_to_string(format!("{}/dist/grafana.json", env!("CARGO_MANIFEST_DIR")));
    let dashboard: Value = serde_json::from_str(&dashboard.unwrap()).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 8);
}

/// Each `metric{label="value"}` of a text, with any operator, but for what Prometheus adds itself.
fn matchers(text: &str) -> Vec<(&str, &str, String)> {
    let mut found = Vec::new();
    for (open, _) in text.match_indices('{') {
        let word = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
        let name = text[..open].rsplit(word).next().unwrap();
        if !name.starts_with("rondel_") {
            continue;
        }
        let inside = text[open + 1..].split('}').next().unwrap();
        for matcher in inside.split(',') {
            let (label, value) = matcher.split_once('=').expect(matcher);
            if label != "instance" {
                found.push((name, label, value.trim_start_matches('~').replace(['"', '\\'], "")));
            }
        }
    }
    found
}

struct Family {
    name: String,
    kind: String,
    help: String,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// Reads the text format strictly: each family in one piece, help and type before its samples.
fn families(page: &str) -> HashMap<String, Family> {
    assert!(page.ends_with('\n'));
    let mut families: HashMap<String, Family> = HashMap::new();
    let mut current = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            let (name, kind) = (name.to_owned(), kind.to_owned());
            current.clone_from(&name);
            let family =
                Family { name: name.clone(), kind, help: help.into(), samples: Vec::new() };
            assert!(families.insert(name, family).is_none(), "{current} comes twice");
        } else {
            let sample = sample(line);
            let family = families.get_mut(&current).unwrap();
            let suffix = sample.name.strip_prefix(&current).expect("a sample of this family");
            let suffixes: &[&str] = match family.kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            assert!(suffixes.contains(&suffix), "{line}");
            family.samples.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() };
    let (name, labels) = match series.split_once('{') {
        None => (series, Vec::new()),
        Some((name, labels)) => {
            let labels = labels.strip_suffix("\"}").expect(line).split("\",").map(|label| {
                let (label, value) = label.split_once("=\"").unwrap();
                (label.to_owned(), value.to_owned())
            });
            (name, labels.collect())
        }
    };
    Sample { name: name.to_owned(), labels, value }
}

impl Family {
    fn check(&self) {
        let name = &self.name;
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        assert!(name.starts_with("rondel_") && plain(name), "{name}");
        assert!(self.help.len() > 5 && self.help.ends_with('.'), "{name}: {}", self.help);
        assert_eq!(self.kind == "counter", name.ends_with("_total"), "{name}");
        assert!(["counter", "gauge", "histogram"].contains(&self.kind.as_str()), "{name}");
        for wrong in ["_ms", "milliseconds", "_count", "_sum", "_bucket", "_kb", "kilobytes"] {
            assert!(!name.contains(wrong), "{name}: base units, and no name of a series");
        }
        if self.kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name}");
        }
        let mut seen = HashSet::new();
        for sample in &self.samples {
            assert!(sample.value >= 0.0 && sample.value.is_finite());
            assert!(seen.insert((&sample.name, &sample.labels)), "{name}: a series comes twice");
            let names: HashSet<_> = sample.labels.iter().map(|(label, _)| label).collect();
            assert_eq!(names.len(), sample.labels.len());
            assert!(names.iter().all(|label| plain(label)));
        }
        if self.kind == "histogram" {
            self.check_buckets();
        }
    }

    fn check_buckets(&self) {
        let of = |suffix: &str, server: &str| -> Vec<&Sample> {
            let named = self.samples.iter().filter(|sample| sample.name.ends_with(suffix));
            named.filter(|sample| sample.labels[0].1 == server).collect()
        };
        let servers: HashSet<_> = self.samples.iter().map(|sample| &sample.labels[0].1).collect();
        for server in servers {
            let buckets = of("_bucket", server);
            let bounds: Vec<f64> = buckets
                .iter()
                .map(|bucket| match bucket.labels[1].1.as_str() {
                    "+Inf" => f64::INFINITY,
                    bound => bound.parse().unwrap(),
                })
                .collect();
            assert!(bounds.is_sorted_by(|a, b| a < b) && bounds.last() == Some(&f64::INFINITY));
            assert!(buckets.is_sorted_by(|a, b| a.value <= b.value), "buckets are cumulative");
            let (sum, count) = (of("_sum", server), of("_count", server));
            assert_eq!((sum.len(), count.len()), (1, 1));
            assert_eq!(buckets.last().unwrap().value.to_bits(), count[0].value.to_bits());
            assert_eq!(count[0].value > 0.0, sum[0].value > 0.0);
        }
    }
}

#[tokio::test]
async fn every_operation_answers_as_its_description_says() {
    let (proxy, b) = proxy_with_some_history().await;
    let document = described(&proxy).await;
    let add = json!({ "url": "http://127.0.0.1:2", "name": "new", "weight": 3 }).to_string();
    let named = "/api/servers/{id}";
    for (method, path, at, body, status) in [
        ("get", "/", "/", "", 200),
        ("get", "/metrics", "/metrics", "", 200),
        ("get", "/healthz", "/healthz", "", 200),
        ("get", "/readyz", "/readyz", "", 200),
        ("get", "/api/openapi.json", "/api/openapi.json", "", 200),
        ("get", "/api/events", "/api/events", "", 200),
        ("get", "/api/servers", "/api/servers", "", 200),
        ("post", "/api/servers", "/api/servers", add.as_str(), 201),
        ("post", "/api/servers", "/api/servers", add.as_str(), 409),
        ("post", "/api/servers", "/api/servers", "[]", 400),
        ("get", named, "/api/servers/new", "", 200),
        ("get", named, "/api/servers/none", "", 404),
        ("patch", named, "/api/servers/new", r#"{"weight":2,"drain":true}"#, 200),
        ("patch", named, "/api/servers/new", "{}", 400),
        ("delete", named, "/api/servers/new", "", 204),
        ("delete", named, "/api/servers/new", "", 404),
    ] {
        let answer = ask(&proxy, &method.to_uppercase(), at, body).await;
        assert_eq!(answer.status(), status, "{method} {at}: {answer:?}");
        holds(&document, method, path, &answer);
    }
    drop(b);
}

/// The answer is one that the description has for this operation.
fn holds(document: &Value, method: &str, path: &str, answer: &Answer) {
    let said = &document["paths"][path][method]["responses"][answer.status().to_string()];
    assert!(said.is_object(), "{method} {path} does not tell of {}", answer.status());
    let Some(contents) = said["content"].as_object() else {
        assert!(answer.body.is_empty());
        return;
    };
    let sent = answer.head.field("content-type").unwrap().split(';').next().unwrap();
    let content = &contents[sent];
    match sent {
        "application/json" => {
            let value = serde_json::from_slice(&answer.body).unwrap();
            fits(document, &content["schema"], &value, path);
        }
        "text/event-stream" => {
            let data = answer.text().strip_prefix("event: state\ndata: ").unwrap();
            let value = serde_json::from_str(data).unwrap();
            fits(document, &content["x-event-schema"], &value, path);
        }
        _ => {}
    }
}

#[tokio::test]
async fn what_the_description_does_not_have_is_refused_and_bodies_follow_it() {
    let (proxy, _a) = proxy_with_some_history().await;
    let document = described(&proxy).await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            if operations[method].is_null() {
                let at = path.replace("{id}", "a");
                let answer = ask(&proxy, &method.to_uppercase(), &at, "{}").await;
                assert_eq!(answer.status(), 405, "{method} {path}");
                assert!(answer.head.field("allow").is_some());
            }
        }
    }
    // What the schema of a body refuses, the server refuses, and the other way round.
    for (schema, method, path, body) in [
        ("NewServer", "POST", "/api/servers", json!({ "url": "http://127.0.0.1:3" })),
        ("NewServer", "POST", "/api/servers", json!({ "url": "http://127.0.0.1:4", "max": 1 })),
        ("NewServer", "POST", "/api/servers", json!({ "weight": 1 })),
        ("NewServer", "POST", "/api/servers", json!({ "url": "http://h", "weight": 257 })),
        ("NewServer", "POST", "/api/servers", json!({ "url": "http://h", "backup": 1 })),
        ("NewServer", "POST", "/api/servers", json!({ "url": "http://h", "more": 1 })),
        ("Change", "PATCH", "/api/servers/a", json!({ "weight": 256 })),
        ("Change", "PATCH", "/api/servers/a", json!({ "drain": false })),
        ("Change", "PATCH", "/api/servers/a", json!({ "weight": 0 })),
        ("Change", "PATCH", "/api/servers/a", json!({ "drain": "yes" })),
        ("Change", "PATCH", "/api/servers/a", json!({ "name": "b" })),
        ("Change", "PATCH", "/api/servers/a", json!({})),
    ] {
        let schema = &document["components"]["schemas"][schema];
        let allowed = misfit(&document, schema, &body).is_none();
        let answer = ask(&proxy, method, path, &body.to_string()).await;
        assert_eq!(answer.status() < 300, allowed, "{method} {body}: {}", answer.text());
    }
}

async fn described(proxy: &TestProxy) -> Value {
    let answer = ask(proxy, "GET", "/api/openapi.json", "").await;
    serde_json::from_slice(&answer.body).unwrap()
}

fn fits(document: &Value, schema: &Value, value: &Value, what: &str) {
    assert!(!schema.is_null(), "{what} has no schema");
    if let Some(why) = misfit(document, schema, value) {
        panic!("{what}: {why}");
    }
}

/// Why a value does not fit a schema: of JSON Schema, what the description uses.
fn misfit(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.strip_prefix('#').unwrap()).expect(reference);
        return misfit(document, schema, value);
    }
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        kind => vec![kind.as_str().expect("a type")],
    };
    let is = |kind: &&str| match *kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    };
    if !kinds.iter().any(is) {
        return Some(format!("{value} is no {kinds:?}"));
    }
    if let Some(number) = value.as_f64() {
        let below = schema["minimum"].as_f64().is_some_and(|minimum| number < minimum);
        let above = schema["maximum"].as_f64().is_some_and(|maximum| number > maximum);
        if below || above {
            return Some(format!("{value} is out of bounds"));
        }
    }
    if schema["enum"].as_array().is_some_and(|choices| !choices.contains(value)) {
        return Some(format!("{value} is none of the choices"));
    }
    if let Some(items) = value.as_array() {
        return items.iter().find_map(|item| misfit(document, &schema["items"], item));
    }
    let object = value.as_object()?;
    if (object.len() as u64) < schema["minProperties"].as_u64().unwrap_or(0) {
        return Some("it is empty".to_owned());
    }
    let required = schema["required"].as_array().into_iter().flatten();
    if let Some(missing) =
        required.map(|name| name.as_str().unwrap()).find(|n| !object.contains_key(*n))
    {
        return Some(format!("{missing} is missing"));
    }
    object.iter().find_map(|(name, value)| {
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => Some(format!("{name} is not described")),
            (Value::Null, Value::Null) => None,
            (Value::Null, more) => misfit(document, more, value),
            (described, _) => {
                misfit(document, described, value).map(|why| format!("{name}: {why}"))
            }
        }
    })
}
