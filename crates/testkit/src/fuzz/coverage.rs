//! Which code an input reached: the counters that LLVM's SanitizerCoverage puts at every edge of the flow of control.
//!
//! There are some only when `cargo xtask fuzz` compiled the code under test; otherwise nobody calls
//! [`__sanitizer_cov_8bit_counters_init`]. See <https://clang.llvm.org/docs/SanitizerCoverage.html#inline-8bit-counters>.

#![expect(unsafe_code, reason = "the compiler hands over the places of its counters")]

use std::sync::{Mutex, PoisonError};

/// Where the counters of a module are: address and number.
static MODULES: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called before `main`, once for each module that was compiled with counters.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let module = (start as usize, (stop as usize).saturating_sub(start as usize));
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    // A module of several objects says it several times.
    if !modules.contains(&module) {
        modules.push(module);
    }
}

/// Called before every call through a pointer; which ones are taken shows in the counters of what is called.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_pc_indir(_callee: usize) {}

/// What was reached so far, and how often: a bit for each order of magnitude.
pub(super) struct Coverage(Vec<Vec<u8>>);

impl Coverage {
    /// Nothing yet; none if the code was compiled without counters.
    pub(super) fn start() -> Option<Self> {
        let modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = Self(modules.iter().map(|(_, count)| vec![0; *count]).collect());
        (!modules.is_empty()).then_some(reached)
    }

    /// Adds what was reached since the last time, and says whether any of it is new.
    pub(super) fn add(&mut self) -> bool {
        let modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_new = false;
        for ((start, count), reached) in modules.iter().zip(&mut self.0) {
            // SAFETY: the compiler's own range of static bytes. Code that runs on another thread at the same time may change a
            // counter meanwhile: one is then missed, which any fuzzer bears.
            let counters = unsafe { std::slice::from_raw_parts_mut(*start as *mut u8, *count) };
            for (counter, seen) in counters.iter_mut().zip(reached) {
                if *counter != 0 {
                    let magnitude = 1 << counter.ilog2();
                    is_new |= *seen & magnitude == 0;
                    *seen |= magnitude;
                    *counter = 0;
                }
            }
        }
        is_new
    }

    /// How many edges were reached, of how many.
    pub(super) fn edges(&self) -> (usize, usize) {
        let reached = self.0.iter().flatten().filter(|seen| **seen != 0).count();
        (reached, self.0.iter().map(Vec::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reached_for_the_first_time_or_far_more_often_is_new() {
        assert!(Coverage::start().is_none(), "this program is compiled without counters");
        let counters: &'static mut [u8] = Box::leak(Box::new([0; 4]));
        let start = counters.as_mut_ptr();
        // SAFETY: within the leaked bytes or at their end.
        let (end, second) = unsafe { (start.add(4), start.add(1)) };
        __sanitizer_cov_8bit_counters_init(start, end);
        __sanitizer_cov_8bit_counters_init(start, end);
        let mut coverage = Coverage::start().unwrap();
        let mut reach = |times: u8| {
            // SAFETY: a byte of the leaked ones.
            unsafe { second.write(times) };
            coverage.add()
        };
        assert_eq!(
            [reach(1), reach(1), reach(5), reach(7), reach(0), reach(8)],
            [true, false, true, false, false, true]
        );
        assert_eq!(coverage.edges(), (1, 4));
        MODULES.lock().unwrap().clear();
    }
}
