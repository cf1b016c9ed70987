//! The proxy-wasm ABI 0.2.1: what the proxy calls, and what it is called for.
//!
//! Only the callbacks that do something are exported, since the proxy calls each that is. Statuses are numbers from
//! outside, so they are compared as numbers; memory that the proxy hands over was allocated by
//! [`proxy_on_memory_allocate`].
#![allow(unsafe_code)]

use crate::{Action, CallFailure, Filter, Host, Map, MetricKind, Reply, Severity, Shared};
use std::cell::RefCell;
use svcauth_core::Now;

const OK: u32 = 0;
const BAD_ARGUMENT: u32 = 2;
const CAS_MISMATCH: u32 = 8;

const CALL_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;
const CALL_HEADERS: u32 = 6;
const REQUEST: u32 = 0;

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;

const CONTINUE: u32 = 0;
/// StopAllIterationAndWatermark: neither headers nor body nor trailers go on.
const PAUSE: u32 = 4;

/// No version is this one: a key that has any is not overwritten, one that is absent is made.
const ABSENT: u32 = u32::MAX;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, text: *const u8, size: usize) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        most: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    fn random_get(bytes: *mut u8, size: usize) -> u32;
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

thread_local! {
    static FILTER: RefCell<Filter> = RefCell::default();
}

/// The proxy calls one callback at a time, and none from within another.
fn with<T>(otherwise: T, run: impl FnOnce(&mut Filter, &mut Envoy) -> T) -> T {
    FILTER.with(|filter| match filter.try_borrow_mut() {
        Ok(mut filter) => run(&mut filter, &mut Envoy),
        Err(_) => {
            Envoy.log(
                Severity::Error,
                "svcauth: a callback within another one (internal)",
            );
            otherwise
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    // SAFETY: called once, before anything else.
    unsafe { __wasm_call_ctors() }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    // What comes out of here is taken back by `taken`, with the same size.
    Box::into_raw(vec![0u8; size].into_boxed_slice()).cast()
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    with((), |filter, _| filter.create(context, root));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(_root: u32, _configuration_size: usize) -> u32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(root: u32, size: usize) -> u32 {
    let bytes = buffer(PLUGIN_CONFIGURATION, size);
    u32::from(with(false, |filter, host| {
        filter.configure(root, &bytes, host)
    }))
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _headers: usize, _end: u32) -> u32 {
    match with(Action::Pause, |filter, host| filter.request(context, host)) {
        Action::Continue => CONTINUE,
        Action::Pause => PAUSE,
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _headers: usize, _end: u32) -> u32 {
    with((), |filter, host| filter.response(context, host));
    CONTINUE
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(root: u32) {
    with((), |filter, host| filter.tick(root, host));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    root: u32,
    call: u32,
    headers: usize,
    body: usize,
    _trailers: usize,
) {
    with((), |filter, host| {
        filter.answered(root, call, headers, body, host)
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    with((), |filter, host| filter.delete(context, host));
}

/// The proxy of this thread.
struct Envoy;

impl Host for Envoy {
    fn now(&mut self) -> Now {
        Now {
            mono_ms: self.mono_ms(),
            wall_ms: milliseconds(REALTIME).unwrap_or_default(),
        }
    }

    #[inline]
    fn mono_ms(&mut self) -> u64 {
        milliseconds(MONOTONIC)
            .or_else(|| milliseconds(REALTIME))
            .unwrap_or_default()
    }

    fn log(&mut self, severity: Severity, line: &str) {
        // SAFETY: a text that is only read.
        unsafe { proxy_log(severity as u32, line.as_ptr(), line.len()) };
    }

    fn random(&mut self, bytes: &mut [u8]) -> bool {
        // SAFETY: memory of that size.
        unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) == OK }
    }

    fn variable(&mut self, name: &str) -> Option<Vec<u8>> {
        // A name that has `=` or NUL in it would be none of the environment's.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        std::env::var_os(name).map(std::os::wasi::ffi::OsStringExt::into_vec)
    }

    #[inline]
    fn header(&mut self, map: Map, name: &str) -> Option<Vec<u8>> {
        // SAFETY: the name is only read, the results are written.
        value(|data, size| unsafe {
            proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
        })
    }

    #[inline]
    fn set_header(&mut self, map: Map, name: &str, value: &str) -> bool {
        // SAFETY: texts that are only read.
        let status = unsafe {
            proxy_replace_header_map_value(
                map as u32,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        };
        status == OK
    }

    #[inline]
    fn add_header(&mut self, map: Map, name: &str, value: &str) -> bool {
        // SAFETY: texts that are only read.
        let status = unsafe {
            proxy_add_header_map_value(
                map as u32,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        };
        status == OK
    }

    fn property(&mut self, path: &str) -> Option<Vec<u8>> {
        // SAFETY: the path is only read, the results are written.
        value(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
    }

    #[inline]
    fn set_property(&mut self, path: &str, value: &str) -> bool {
        // SAFETY: texts that are only read.
        unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) == OK }
    }

    fn enter(&mut self, context: u32) -> bool {
        // SAFETY: the proxy refuses a context that it does not know.
        unsafe { proxy_set_effective_context(context) == OK }
    }

    fn resume(&mut self) -> bool {
        // SAFETY: the proxy refuses a stream that cannot go on.
        unsafe { proxy_continue_stream(REQUEST) == OK }
    }

    fn respond(&mut self, reply: &Reply) -> bool {
        let mut headers = vec![("content-type", "application/json")];
        if let Some(seconds) = &reply.retry_after {
            headers.push(("retry-after", seconds));
        }
        let headers = pairs(&headers);
        // SAFETY: texts that are only read.
        let status = unsafe {
            proxy_send_local_response(
                Reply::STATUS,
                reply.details.as_ptr(),
                reply.details.len(),
                reply.body.as_ptr(),
                reply.body.len(),
                headers.as_ptr(),
                headers.len(),
                -1,
            )
        };
        status == OK
    }

    fn tick_every(&mut self, milliseconds: u32) -> bool {
        // SAFETY: a number.
        unsafe { proxy_set_tick_period_milliseconds(milliseconds) == OK }
    }

    fn call(
        &mut self,
        cluster: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout_ms: u32,
    ) -> Result<u32, CallFailure> {
        let (headers, trailers) = (pairs(headers), pairs(&[]));
        let mut token = 0;
        // SAFETY: memory that is only read, and the token.
        let status = unsafe {
            proxy_http_call(
                cluster.as_ptr(),
                cluster.len(),
                headers.as_ptr(),
                headers.len(),
                body.as_ptr(),
                body.len(),
                trailers.as_ptr(),
                trailers.len(),
                timeout_ms,
                &mut token,
            )
        };
        match status {
            OK => Ok(token),
            BAD_ARGUMENT => Err(CallFailure::Refused),
            _ => Err(CallFailure::Broken),
        }
    }

    fn answer_headers(&mut self) -> Vec<(String, String)> {
        // SAFETY: the results are written.
        let bytes =
            value(|data, size| unsafe { proxy_get_header_map_pairs(CALL_HEADERS, data, size) });
        crate::wire::read_pairs(&bytes.unwrap_or_default())
    }

    fn answer_body(&mut self, most: usize) -> Vec<u8> {
        buffer(CALL_BODY, most)
    }

    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        let mut version = 0;
        // SAFETY: the key is only read, the results are written.
        let value = value(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut version)
        });
        value.map(|value| (value, version))
    }

    fn share(&mut self, key: &str, value: &[u8], version: Option<u32>) -> Shared {
        let version = version.unwrap_or(ABSENT);
        // SAFETY: memory that is only read.
        let status = unsafe {
            proxy_set_shared_data(
                key.as_ptr(),
                key.len(),
                value.as_ptr(),
                value.len(),
                version,
            )
        };
        match status {
            OK => Shared::Written,
            CAS_MISMATCH => Shared::Conflict,
            _ => Shared::Failed,
        }
    }

    fn metric(&mut self, kind: MetricKind, name: &str) -> Option<u32> {
        let mut id = 0;
        // SAFETY: the name is only read, the id is written.
        let status =
            unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) };
        (status == OK).then_some(id)
    }

    fn add(&mut self, metric: u32, by: u64) {
        let by = i64::try_from(by).unwrap_or(i64::MAX);
        // SAFETY: numbers.
        unsafe { proxy_increment_metric(metric, by) };
    }

    fn record(&mut self, metric: u32, value: u64) {
        // SAFETY: numbers.
        unsafe { proxy_record_metric(metric, value) };
    }
}

fn milliseconds(clock: u32) -> Option<u64> {
    let mut nanoseconds = 0;
    // SAFETY: the time is written.
    let status = unsafe { clock_time_get(clock, 1, &mut nanoseconds) };
    (status == OK).then_some(nanoseconds / 1_000_000)
}

/// What the proxy answers with memory of ours; none where it answers with another status than OK.
#[inline]
fn value(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    if call(&mut data, &mut size) != OK {
        return None;
    }
    if data.is_null() {
        return Some(vec![]);
    }
    // SAFETY: it was allocated by `proxy_on_memory_allocate` with this size.
    Some(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, size)) }.into_vec())
}

fn buffer(kind: u32, most: usize) -> Vec<u8> {
    // SAFETY: the results are written.
    value(|data, size| unsafe { proxy_get_buffer_bytes(kind, 0, most, data, size) })
        .unwrap_or_default()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    crate::wire::write_pairs(pairs)
}
