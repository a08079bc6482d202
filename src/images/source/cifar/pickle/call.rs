//! The calls in a pickle with which NumPy restores arrays, as data.

use std::io::{BufRead, Seek};

use super::{Array, Global, Id, Pickle, Text, Value};

/// Most items in a tuple of arguments, a state or a shape.
const MOST_ITEMS: usize = 64;

impl Global {
    /// The function or class with this name; NumPy 2 has renamed `numpy.core`.
    fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Self::Reconstruct
            }
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::Scalar,
            ("numpy", "ndarray") => Self::NdArray,
            ("numpy", "dtype") => Self::Dtype,
            ("_codecs", "encode") => Self::Encode,
            ("__builtin__" | "builtins", "bytes") => Self::Bytes,
            _ => return None,
        })
    }
}

impl<R: BufRead + Seek> Pickle<R> {
    pub(super) fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let global = Global::named(module, name).ok_or_else(|| {
            format!(
                "the pickle refers to {module}.{name}; expected only what NumPy arrays need. Nothing in it was executed; if \
                 the file is yours, convert it to .npz with numpy.savez"
            )
        })?;
        self.push(Value::Global(global))
    }

    /// REDUCE: a function with a tuple of arguments.
    pub(super) fn call(&mut self) -> Result<(), String> {
        let arguments = self.pop()?;
        let function = self.pop()?;
        let arguments = self.items(arguments).unwrap_or_default();
        let result = match self.value(function) {
            Some(Value::Global(Global::Reconstruct)) => Some(Value::Array(Array::default())),
            Some(Value::Global(Global::Dtype)) => {
                let name = arguments.first().and_then(|name| self.text(*name));
                name.map(|name| Value::Dtype(name.to_owned()))
            }
            Some(Value::Global(Global::Encode)) => self.encoded(&arguments),
            Some(Value::Global(Global::Bytes)) if arguments.is_empty() => {
                let short = Some(Vec::new());
                Some(Value::Text(Text {
                    short,
                    ..Text::default()
                }))
            }
            Some(Value::Global(Global::FromBuffer)) => self.in_buffer(&arguments),
            Some(Value::Global(Global::Scalar)) => self.scalar(&arguments),
            _ => None,
        };
        let result = result.ok_or_else(|| self.damaged("a call of something unknown"))?;
        self.push(result)
    }

    /// BUILD: the state of an array or a type that was made before.
    pub(super) fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let state = self.items(state).unwrap_or_default();
        let array = self.array_of(&state);
        let order = state.get(1).and_then(|order| self.text(*order));
        let order = order.map(str::to_owned);
        let is_built = match (self.top()?, array, order) {
            (Value::Array(empty), Some(array), _) => {
                *empty = array;
                true
            }
            // The byte order is a part of the state: "<", ">" or "|".
            (Value::Dtype(name), _, Some(order)) => {
                *name = format!("{order}{}", name.trim_start_matches(['<', '>', '|', '=']));
                true
            }
            _ => false,
        };
        if is_built {
            Ok(())
        } else {
            Err(self.damaged("the state of something unknown"))
        }
    }

    /// The items of a tuple of arguments or sides; none of them is long.
    fn items(&self, id: Id) -> Option<Vec<Id>> {
        match self.value(id)? {
            Value::List(items) if items.len() <= MOST_ITEMS => Some(items.clone()),
            _ => None,
        }
    }

    /// The array with the state (version, shape, type, Fortran order, values).
    fn array_of(&self, state: &[Id]) -> Option<Array> {
        let [_, shape, dtype, fortran, data] = state else {
            return None;
        };
        let fortran = matches!(self.value(*fortran)?, Value::Int(1));
        self.array(*shape, *dtype, fortran, *data)
    }

    /// The array of `_frombuffer(buffer, type, shape, order)`.
    fn in_buffer(&self, arguments: &[Id]) -> Option<Value> {
        let [data, dtype, shape, order] = arguments else {
            return None;
        };
        let fortran = self.text(*order)? == "F";
        self.array(*shape, *dtype, fortran, *data).map(Value::Array)
    }

    fn array(&self, shape: Id, dtype: Id, fortran: bool, data: Id) -> Option<Array> {
        let side = |id: Id| match self.value(id)? {
            Value::Int(side) => u64::try_from(*side).ok(),
            _ => None,
        };
        let shape = self.items(shape)?.into_iter().map(side);
        let (Value::Dtype(dtype), Value::Text(data)) = (self.value(dtype)?, self.value(data)?)
        else {
            return None;
        };
        Some(Array {
            shape: shape.collect::<Option<Vec<u64>>>()?,
            dtype: dtype.clone(),
            fortran,
            data: data.clone(),
        })
    }

    /// The bytes of `_codecs.encode(text, "latin1")`.
    fn encoded(&self, arguments: &[Id]) -> Option<Value> {
        let [text, codec] = arguments else {
            return None;
        };
        let is_latin1 = matches!(self.text(*codec)?, "latin1" | "latin-1");
        let Value::Text(text) = self.value(*text)? else {
            return None;
        };
        let short = |short: &Vec<u8>| {
            let text = std::str::from_utf8(short).ok()?;
            let bytes = text.chars().map(|letter| u8::try_from(letter).ok());
            bytes.collect::<Option<Vec<u8>>>()
        };
        is_latin1.then(|| {
            Value::Text(Text {
                place: text.place.clone(),
                short: text.short.as_ref().and_then(short),
                latin1: true,
            })
        })
    }

    /// The number of `scalar(type, bytes)`, such as a label that was taken from an array.
    fn scalar(&self, arguments: &[Id]) -> Option<Value> {
        let [dtype, data] = arguments else {
            return None;
        };
        let (Value::Dtype(dtype), Value::Text(data)) = (self.value(*dtype)?, self.value(*data)?)
        else {
            return None;
        };
        let value = super::super::super::numbers::integers(dtype, data.short.as_deref()?).ok()?;
        value.first().copied().map(Value::Int)
    }
}
