//! A method of a value that is not called.

use std::fmt;
use std::sync::Arc;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::Object;
use minijinja::value::ObjectRepr;

/// A method of a value that is not called: `limits.keys`.
#[derive(Debug)]
pub(super) struct Method {
    object: Value,
    pub(super) name: String,
}

impl Method {
    /// Makes the method of a value.
    pub(super) fn of(object: Value, name: &str) -> Value {
        Value::from_object(Self { object, name: name.to_owned() })
    }
}

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
        self.object.call_method(state, &self.name, given)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<built-in method {}>", self.name)
    }
}
