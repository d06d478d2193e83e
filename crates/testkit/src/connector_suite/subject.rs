//! A connector under test, whichever way it is run.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

use channel_sdk::connector::Guest;
use channel_sdk::types::{
    Authentication, Call, Context, Descriptor, Fetched, Outcome, Outgoing, Refusal, Request, Response, Translation,
};

/// The connector panicked or trapped: never acceptable, whatever it was given.
#[derive(Debug, Clone)]
pub(super) struct Trap(pub String);

/// The five functions, by reference: the suite calls each many times with the same arguments.
pub(super) trait Subject {
    /// See the contract.
    fn describe(&mut self) -> Result<Descriptor, Trap>;
    /// See the contract.
    fn authenticate(
        &mut self,
        request: &Request,
        context: &Context,
        fetched: &[Fetched],
    ) -> Result<Authentication, Trap>;
    /// See the contract.
    fn translate(&mut self, request: &Request, context: &Context, fetched: &[Fetched]) -> Result<Translation, Trap>;
    /// See the contract.
    fn acknowledge(&mut self, request: &Request, outcome: &Outcome, context: &Context) -> Result<Response, Trap>;
    /// See the contract.
    fn render(&mut self, message: &Outgoing, context: &Context) -> Result<Result<Vec<Call>, Refusal>, Trap>;
}

/// The connector as ordinary Rust of this process.
pub(super) struct Native<C>(PhantomData<fn() -> C>);

impl<C> Default for Native<C> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Trap> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Trap(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
    })
}

impl<C: Guest> Subject for Native<C> {
    fn describe(&mut self) -> Result<Descriptor, Trap> {
        caught(C::describe)
    }
    fn authenticate(
        &mut self,
        request: &Request,
        context: &Context,
        fetched: &[Fetched],
    ) -> Result<Authentication, Trap> {
        caught(|| C::authenticate(request.clone(), context.clone(), fetched.to_vec()))
    }
    fn translate(&mut self, request: &Request, context: &Context, fetched: &[Fetched]) -> Result<Translation, Trap> {
        caught(|| C::translate(request.clone(), context.clone(), fetched.to_vec()))
    }
    fn acknowledge(&mut self, request: &Request, outcome: &Outcome, context: &Context) -> Result<Response, Trap> {
        caught(|| C::acknowledge(request.clone(), outcome.clone(), context.clone()))
    }
    fn render(&mut self, message: &Outgoing, context: &Context) -> Result<Result<Vec<Call>, Refusal>, Trap> {
        caught(|| C::render(message.clone(), context.clone()))
    }
}
