//! All that comes out of a client at once, for hosts to which each call is dear.

use crate::{
    client::{number_of, Client},
    error::{Error, Failure},
    fields,
    guard::{guard, out},
    handle::{insert, object},
    output::{EventLevel, EventLevel_Layout, LeaseState, Output, OutputKind},
    raw,
    text::Text,
    ResultCode,
};
#[cfg(test)]
use safer_ffi::ffi_export;
use std::{mem, ptr};
use svcauth_core::{
    client::{self as core, Task, TaskKind},
    wire::json::to_json,
    Level, Now, SecretBytes,
};
use zeroize::Zeroize;

/// Says which events the program listens to: those below the level `least` are not made from now on. Without
/// it all are.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_hear"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_hear(
    client: *const Client,
    least: EventLevel_Layout,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let least = match raw(least, "least")? {
            EventLevel::Info => Level::Info,
            EventLevel::Warn => Level::Warn,
            EventLevel::Error => Level::Error,
        };
        client.run(|core| {
            core.hear(least);
            Ok(())
        })
    })
}

/// Gives all that the client wants of the program, as `svcauth_client_poll` does one after the other: for
/// programs to which each call is dear.
///
/// `outputs` is NULL where there is nothing. Otherwise it holds outputs, one behind the other to its end, and
/// may be secret. An output is made of numbers, 8 bytes with the least significant first, and of texts: a
/// number, how many bytes, and the bytes. Its first number is an svcauth_output_kind, and then come for
///
///     lease          target, state (svcauth_lease_state), text subject; in state ready and once also
///                    refresh_at_ms, ask_at_ms, serve_until_ms, expires_at_ms, expires_at_wall_ms, lifetime_ms,
///                    texts authorization and client_id, the number of scopes, each as a text;
///                    in state failed also the handle of an svcauth_error
///     event          level (svcauth_event_level), text event
///     send           id, deadline_ms, timeout_ms, max_bytes, texts method, url, headers and body
///     calls_changed  nothing
///     any other      the handle of an svcauth_output
///
/// Handles are freed by the program. `idle_until_ms` is when to poll again on the monotonic clock, UINT64_MAX
/// where only another call brings something new. Both are written on success.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_poll_all"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_poll_all(
    client: *const Client,
    mono_ms: u64,
    wall_ms: u64,
    outputs: *mut *mut Text,
    idle_until_ms: *mut u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let outputs = out(outputs, "outputs")?;
        let idle_until = out(idle_until_ms, "idle_until_ms")?;
        let mut block = Block(Vec::new());
        let now = Now { mono_ms, wall_ms };
        let until = client.poll_all(now, |output, made_after| block.output(output, made_after))?;
        match block.0.is_empty() {
            true => outputs.write(ptr::null_mut()),
            false => Text::hand_out_bytes(block.finish(), outputs)?,
        }
        idle_until.write(until.unwrap_or(u64::MAX));
        Ok(())
    })
}

/// Outputs one behind the other. What it outgrows is wiped.
struct Block(Vec<u8>);

impl Block {
    fn output(&mut self, output: core::Output, made_after: u64) -> Result<(), Failure> {
        match &output {
            core::Output::Lease(change) => return self.change(change),
            core::Output::Event(event) => {
                self.numbers([
                    OutputKind::Event as u64,
                    EventLevel::of(event.level()) as u64,
                ]);
                self.text(to_json(event).as_bytes());
            }
            core::Output::CallsChanged => self.numbers([OutputKind::CallsChanged as u64]),
            core::Output::Task(Task {
                id,
                deadline_ms,
                kind:
                    TaskKind::Send {
                        request,
                        timeout_ms,
                        max_bytes,
                    },
            }) => {
                self.numbers([
                    OutputKind::Send as u64,
                    made_after | id.0,
                    *deadline_ms,
                    *timeout_ms,
                    *max_bytes as u64,
                ]);
                self.text(request.method.as_str().as_bytes());
                self.text(request.url.as_bytes());
                self.text(fields::block(&request.headers).expose().as_bytes());
                self.text(request.body.expose());
            }
            _ => {
                let output = Output::new(output, made_after);
                let kind = output.kind();
                self.numbers([kind as u64, insert(output)?.addr() as u64]);
            }
        }
        Ok(())
    }

    fn change(&mut self, change: &core::LeaseChange) -> Result<(), Failure> {
        self.numbers([
            OutputKind::Lease as u64,
            number_of(change.target).into(),
            LeaseState::of(&change.state) as u64,
        ]);
        self.text(change.subject.as_ref().map_or(&[], |id| id.as_bytes()));
        match &change.state {
            core::LeaseState::Ready(lease) | core::LeaseState::Once(lease) => {
                self.numbers([
                    lease.refresh_at_ms(),
                    lease.ask_at_ms(),
                    lease.serve_until_ms(),
                    lease.expires_at_ms(),
                    lease.expires_at_wall_ms(),
                    lease.lifetime_ms(),
                ]);
                self.text(lease.authorization().as_bytes());
                self.text(lease.client_id().unwrap_or_default().as_bytes());
                self.numbers([lease.scopes().len() as u64]);
                for scope in lease.scopes() {
                    self.text(scope.as_bytes());
                }
            }
            core::LeaseState::Failed { error, retry_at_ms } => {
                let failure = Failure::failed_until(error.clone(), *retry_at_ms);
                self.numbers([insert(failure.into_error())?.addr() as u64]);
            }
            _ => {}
        }
        Ok(())
    }

    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        self.bytes(numbers.map(u64::to_le_bytes).as_flattened());
    }

    fn text(&mut self, text: &[u8]) {
        self.numbers([text.len() as u64]);
        self.bytes(text);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.0.capacity() - self.0.len() < bytes.len() {
            self.grow(bytes.len());
        }
        self.0.extend_from_slice(bytes);
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let wanted = (self.0.len() + more).max(2 * self.0.capacity()).max(1024);
        let mut larger = Vec::with_capacity(wanted);
        larger.extend_from_slice(&self.0);
        mem::replace(&mut self.0, larger).zeroize();
    }

    fn finish(mut self) -> SecretBytes {
        mem::take(&mut self.0).into()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{svcauth_client_free, svcauth_client_new, svcauth_client_token},
        complete::svcauth_client_complete_response,
        text::{svcauth_text_free, svcauth_text_get},
    };

    const CONFIG: &str = r#"{
        "endpoints": { "token": "https://issuer.example/token" },
        "client": { "credentials": [{ "client_id": "a", "client_secret": { "value": "s" } }] },
        "targets": { "t": { "urls": ["https://t.example"], "scopes": ["x"] } }
    }"#;
    const ANSWER: &str = r#"{"access_token":"t0ken","token_type":"bearer","expires_in":100}"#;

    /// What is in a block, read as the header says.
    struct Read(Vec<u8>, usize);

    impl Read {
        fn number(&mut self) -> u64 {
            self.1 += 8;
            u64::from_le_bytes(self.0[self.1 - 8..self.1].try_into().unwrap())
        }

        fn text(&mut self) -> String {
            let len = self.number() as usize;
            self.1 += len;
            String::from_utf8(self.0[self.1 - len..self.1].into()).unwrap()
        }

        fn is_at_end(&self) -> bool {
            self.0.len() == self.1
        }
    }

    fn poll_all(client: *const Client) -> (Read, u64) {
        let (mut block, mut until) = (ptr::null_mut(), 0);
        let (mut text, mut len) = (ptr::null(), 0);
        unsafe {
            let error = ptr::null_mut();
            let polled = svcauth_client_poll_all(client, 0, 0, &mut block, &mut until, error);
            assert_eq!(polled, ResultCode::Ok);
            if block.is_null() {
                return (Read(Vec::new(), 0), until);
            }
            assert_eq!(svcauth_text_get(block, &mut text, &mut len), ResultCode::Ok);
            let copy = std::slice::from_raw_parts(text.cast::<u8>(), len).to_vec();
            assert_eq!(svcauth_text_free(block), ResultCode::Ok);
            (Read(copy, 0), until)
        }
    }

    #[test]
    fn all_outputs_stand_one_behind_the_other_and_events_nobody_hears_do_not() {
        for (heard, received) in [(EventLevel::Info, 1), (EventLevel::Warn, 0)] {
            let (mut client, mut lease, mut state) = (ptr::null_mut(), ptr::null_mut(), 0_u32);
            let error = ptr::null_mut();
            let (json, len) = (CONFIG.as_ptr().cast(), CONFIG.len());
            unsafe {
                svcauth_client_new(json, len, 0, 1, 0, 0, &mut client, error);
                let level: EventLevel_Layout = mem::transmute(heard);
                assert_eq!(svcauth_client_hear(client, level, error), ResultCode::Ok);
                assert_eq!(poll_all(client).1, u64::MAX);
                let state = (&raw mut state).cast();
                svcauth_client_token(client, 0, 0, 0, state, &mut lease, error);
            }
            let (mut sent, until) = poll_all(client);
            assert_eq!(sent.number(), OutputKind::Send as u64);
            let (task, deadline) = (sent.number(), sent.number());
            assert_eq!(until, deadline);
            assert_eq!((sent.number(), sent.number()), (deadline - 250, 1 << 20));
            assert_eq!(sent.text(), "POST");
            assert_eq!(sent.text(), "https://issuer.example/token");
            assert!(sent.text().contains("authorization: Basic YTpz\r\n"));
            assert_eq!(sent.text(), "grant_type=client_credentials&scope=x");
            for _ in 0..received {
                assert_eq!(sent.number(), OutputKind::Event as u64);
                assert_eq!(sent.number(), EventLevel::Info as u64);
                assert!(sent.text().contains("token_requested"));
            }
            assert!(sent.is_at_end());

            let (body, len) = (ANSWER.as_ptr(), ANSWER.len());
            let header = "content-type: application/json\n";
            let (fields, size) = (header.as_ptr().cast(), header.len());
            unsafe {
                svcauth_client_complete_response(
                    client, task, 200, fields, size, body, len, 0, 0, error,
                );
            }
            let (mut got, _) = poll_all(client);
            let change = [OutputKind::Lease as u64, 0, LeaseState::Ready as u64];
            assert_eq!([(); 3].map(|()| got.number()), change);
            assert_eq!(got.text(), "");
            let times = [(); 6].map(|()| got.number());
            assert_eq!(times[1..], [95_000, 95_000, 100_000, 100_000, 100_000]);
            assert_eq!(
                (got.text(), got.text()),
                ("Bearer t0ken".into(), "a".into())
            );
            assert_eq!((got.number(), got.text()), (1, "x".into()));
            assert_eq!(got.is_at_end(), received == 0);
            unsafe { svcauth_client_free(client) };
        }
    }
}
