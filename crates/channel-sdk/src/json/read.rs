//! Strict reading of JSON objects: every member is taken once, and what is left over is an error that names it.

use core::fmt;

use serde_json::{Map, Value};

/// What is wrong with a JSON document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// Path of the member, e.g. `departments[2].digit`.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.path.is_empty() { "document" } else { &self.path }, self.problem)
    }
}

impl std::error::Error for JsonError {}

/// An object being read.
pub(super) struct Reader {
    path: String,
    members: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Reader {
    pub(super) fn new(path: impl Into<String>, value: &Value) -> Result<Self, JsonError> {
        let path = path.into();
        match value {
            Value::Object(members) => Ok(Self { path, members: members.clone(), known: Vec::new() }),
            other => Err(JsonError { path, problem: format!("must be an object, is {}", type_name(other)) }),
        }
    }

    pub(super) fn path(&self, member: &str) -> String {
        if self.path.is_empty() { member.to_owned() } else { format!("{}.{member}", self.path) }
    }

    pub(super) fn error(&self, member: &str, problem: impl Into<String>) -> JsonError {
        JsonError { path: self.path(member), problem: problem.into() }
    }

    /// The member, if it is there and not null.
    pub(super) fn take(&mut self, member: &'static str) -> Option<Value> {
        self.known.push(member);
        self.members.remove(member).filter(|value| !value.is_null())
    }

    pub(super) fn string(&mut self, member: &'static str) -> Result<Option<String>, JsonError> {
        match self.take(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(member, format!("must be a string, is {}", type_name(&other)))),
        }
    }

    pub(super) fn required(&mut self, member: &'static str) -> Result<String, JsonError> {
        self.string(member)?.ok_or_else(|| self.error(member, "is missing"))
    }

    pub(super) fn boolean(&mut self, member: &'static str) -> Result<bool, JsonError> {
        match self.take(member) {
            None => Ok(false),
            Some(Value::Bool(truth)) => Ok(truth),
            Some(other) => Err(self.error(member, format!("must be true or false, is {}", type_name(&other)))),
        }
    }

    pub(super) fn number(&mut self, member: &'static str) -> Result<Option<f64>, JsonError> {
        match self.take(member) {
            None => Ok(None),
            Some(value) => value
                .as_f64()
                .map(Some)
                .ok_or_else(|| self.error(member, format!("must be a number, is {}", type_name(&value)))),
        }
    }

    pub(super) fn whole<T: TryFrom<u64>>(&mut self, member: &'static str) -> Result<Option<T>, JsonError> {
        match self.take(member) {
            None => Ok(None),
            Some(value) => value
                .as_u64()
                .and_then(|number| T::try_from(number).ok())
                .map(Some)
                .ok_or_else(|| self.error(member, "must be a whole number in range")),
        }
    }

    /// Reads every element of an array; absent is empty.
    pub(super) fn list<T>(
        &mut self,
        member: &'static str,
        read: impl Fn(String, &Value) -> Result<T, JsonError>,
    ) -> Result<Vec<T>, JsonError> {
        match self.take(member) {
            None => Ok(Vec::new()),
            Some(Value::Array(elements)) => elements
                .iter()
                .enumerate()
                .map(|(index, element)| read(format!("{}[{index}]", self.path(member)), element))
                .collect(),
            Some(other) => Err(self.error(member, format!("must be an array, is {}", type_name(&other)))),
        }
    }

    pub(super) fn strings(&mut self, member: &'static str) -> Result<Vec<String>, JsonError> {
        self.list(member, |path, value| match value {
            Value::String(text) => Ok(text.clone()),
            other => Err(JsonError { path, problem: format!("must be a string, is {}", type_name(other)) }),
        })
    }

    /// Fails if a member was not taken.
    pub(super) fn finish(self) -> Result<(), JsonError> {
        match self.members.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(JsonError {
                path: self.path(unknown),
                problem: format!("is not known; members are {}", self.known.join(", ")),
            }),
        }
    }

    /// Ignores members that belong to somebody else.
    pub(super) fn ignore(&mut self, members: &[&'static str]) {
        for member in members {
            let _ = self.take(member);
        }
    }
}

pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
