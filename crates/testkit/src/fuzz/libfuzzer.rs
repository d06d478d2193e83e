//! libFuzzer as the engine: it is linked into the test program and keeps what reaches new code.
//!
//! Coverage comes from the compiler pass that `cargo xtask fuzz` turns on for the members of the workspace; stable Rust has it.

#![expect(unsafe_code, reason = "libFuzzer is called through C")]

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};

// Its C++ is linked in; of its Rust nothing is used.
extern crate libfuzzer_sys as _;

use super::Verdict;

type Callback = extern "C" fn(data: *const u8, size: usize) -> c_int;

unsafe extern "C" {
    /// <https://llvm.org/docs/LibFuzzer.html#using-libfuzzer-as-a-library>
    fn LLVMFuzzerRunDriver(argc: *mut c_int, argv: *mut *mut *mut c_char, callback: Callback) -> c_int;
}

type Test = dyn FnMut(&[u8]) -> Verdict;

thread_local! {
    /// The one test that runs. libFuzzer calls back on the thread it was called on.
    static TEST: RefCell<Option<(String, *mut Test)>> = const { RefCell::new(None) };
}

/// Of `VENTANILLA_FUZZ_ARGUMENTS`, one in each line.
pub(super) fn arguments() -> Option<Vec<String>> {
    Some(std::env::var("VENTANILLA_FUZZ_ARGUMENTS").ok()?.lines().map(str::to_owned).collect())
}

/// The crate's own entry, which we don't use: its driver is called with ours.
#[unsafe(no_mangle)]
extern "C" fn rust_fuzzer_test_input(_data: *const u8, _size: usize) -> c_int {
    0
}

extern "C" fn once(data: *const u8, size: usize) -> c_int {
    // SAFETY: libFuzzer gives `size` bytes at `data`, null only when there are none.
    let input = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
    TEST.with_borrow_mut(|test| {
        let Some((name, test)) = test else { return };
        // SAFETY: `run` puts in what it borrows until the process ends.
        if let Err(problem) = (unsafe { &mut **test })(input) {
            eprintln!("{name}: {problem}");
            // libFuzzer takes this for a crash and writes the input down.
            std::process::abort();
        }
    });
    0
}

/// Ends the process: libFuzzer does not come back.
pub(super) fn run(name: &str, arguments: Vec<String>, test: &mut (dyn FnMut(&[u8]) -> Verdict + '_)) -> ! {
    let test: *mut (dyn FnMut(&[u8]) -> Verdict + '_) = test;
    // SAFETY: only the lifetime differs, and this function never returns to where it would end.
    let test: *mut Test = unsafe { std::mem::transmute(test) };
    TEST.set(Some((name.to_owned(), test)));
    let mut given: Vec<*mut c_char> = std::iter::once(name.to_owned())
        .chain(arguments)
        .filter_map(|argument| CString::new(argument).ok().map(CString::into_raw))
        .collect();
    let mut count = c_int::try_from(given.len()).unwrap_or(1);
    given.push(std::ptr::null_mut());
    let mut list = given.as_mut_ptr();
    // SAFETY: a C argument list, ended by null, that lives as long as the process.
    let status = unsafe { LLVMFuzzerRunDriver(&raw mut count, &raw mut list, once) };
    std::process::exit(status)
}
