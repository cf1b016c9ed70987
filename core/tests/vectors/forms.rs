use super::{document, ran, rows, text};
use base64ct::{Base64, Encoding};
use serde_json::Value;
use svcauth_core::{
    message::{BasicEncoding, ClientAuthentication},
    wire::form::{self, Serializer},
};

/// The forms that the WHATWG parser repairs. We read answers of token endpoints only, where a form that is
/// not encoded is more likely no form at all (an HTML page) than one with a slip in it.
const REPAIRED_BY_OTHERS: [&str; 4] = ["a = b &a=b&c=d%20", "b=%2sf%2a", "b=%2%2af%2a", "b=%%2a"];

fn serialized<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut form = Serializer::new();
    for (name, value) in pairs {
        form.pair(name, value);
    }
    String::from_utf8(form.finish().expose().to_vec()).unwrap()
}

fn pair(value: &Value) -> (&str, &str) {
    let pair = rows(value);
    (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())
}

#[test]
fn forms_are_written_as_the_url_standard_says() {
    let Some(document) = document("form_serialize.json") else {
        return;
    };
    for row in rows(&document) {
        let pairs: Vec<_> = rows(&row["pairs"]).iter().map(pair).collect();
        let written = serialized(pairs.iter().copied());
        assert_eq!(written, text(row, "output"), "{row}");
        let read = form::parse(written.as_bytes()).unwrap();
        assert!(
            read.iter()
                .map(|(name, value)| (&**name, &**value))
                .eq(pairs),
            "{row}"
        );
    }
    ran("form_serialize.json", rows(&document).len(), 27);
}

#[test]
fn forms_are_read_and_written_again_unless_they_are_not_encoded() {
    let Some(document) = document("form_parse_then_serialize.json") else {
        return;
    };
    for row in rows(&document) {
        let input = text(row, "input");
        match form::parse(input.as_bytes()) {
            Ok(read) => {
                let pairs = read.iter().map(|(name, value)| (&**name, &**value));
                assert_eq!(serialized(pairs), text(row, "output"), "{row}");
            }
            Err(error) => assert!(REPAIRED_BY_OTHERS.contains(&input), "{input}: {error}"),
        }
    }
    ran("form_parse_then_serialize.json", rows(&document).len(), 6);
}

#[test]
fn forms_are_read_strictly() {
    let Some(document) = document("form_decode_strict_oauthlib.json") else {
        return;
    };
    for row in rows(&document) {
        let read = form::parse(text(row, "input").as_bytes());
        match row.get("output") {
            Some(output) => {
                let read = read.unwrap_or_else(|error| panic!("{row}: {error}"));
                let expected = rows(output).iter().map(pair);
                assert!(
                    read.iter()
                        .map(|(name, value)| (&**name, &**value))
                        .eq(expected),
                    "{row}"
                );
            }
            None => assert!(read.is_err(), "{row}"),
        }
    }
    ran(
        "form_decode_strict_oauthlib.json",
        rows(&document).len(),
        21,
    );
}

#[test]
fn client_secret_basic_is_form_encoded_before_base64() {
    let Some(document) = document("client_secret_basic.json") else {
        return;
    };
    let user_pass = |id: &str, secret: &str| {
        let authentication = ClientAuthentication::Basic {
            client_id: id.into(),
            client_secret: secret.into(),
            encoding: BasicEncoding::Form,
        };
        let mut headers = Vec::new();
        authentication
            .apply(&mut headers, &mut Serializer::new())
            .unwrap();
        let value = headers[0].value.clone();
        let decoded = Base64::decode_vec(value.strip_prefix("Basic ").unwrap()).unwrap();
        (value, String::from_utf8(decoded).unwrap())
    };
    let decoded = |user_pass: &str| {
        let (id, secret) = user_pass.split_once(':').expect("a colon");
        let part = |text: &str| {
            Some(
                form::parse(format!("x={text}").as_bytes())
                    .ok()?
                    .remove(0)
                    .1,
            )
        };
        Some((part(id)?, part(secret)?))
    };
    let mut count = 0;
    for row in rows(&document["encode"]) {
        let (id, secret) = (text(row, "client_id"), text(row, "client_secret"));
        let (value, ours) = user_pass(id, secret);
        // Some libraries also encode the characters `-_.*`; either way the server decodes the same.
        let stricter = text(row, "style").contains("stricter");
        if let (Some(authorization), false) = (row["authorization"].as_str(), stricter) {
            assert_eq!(value, authorization, "{row}");
        }
        if let Some(theirs) = row["userpass_after_base64_decode"].as_str() {
            assert_eq!(decoded(&ours), decoded(theirs), "{row}");
        }
        assert_eq!(ours.matches(':').count(), 1, "{row}");
        assert_eq!(decoded(&ours), Some((id.into(), secret.into())), "{row}");
        count += 1;
    }
    for row in rows(&document["decode_errors"]) {
        assert_eq!(decoded(text(row, "userpass")), None, "{row}");
        count += 1;
    }
    // The reports are prose. Two of them name a secret, which has to arrive whole.
    for secret in [
        "Abcd+1234",
        "5Q7UtUI6IMFsxLr9J+xicImeXVbuXQFIssDjJIf2oUNQrPCyL1K0KlLb3c1GjWnC",
    ] {
        let mut reports = rows(&document["field_reports"]).iter();
        assert!(
            reports.any(|report| report.to_string().contains(secret)),
            "{secret}"
        );
        let (_, ours) = user_pass("myclient", secret);
        assert!(ours.contains("%2B") && !ours.contains('+'), "{ours}");
        assert_eq!(decoded(&ours), Some(("myclient".into(), secret.into())));
        count += 1;
    }
    ran("client_secret_basic.json", count, 18);
}
