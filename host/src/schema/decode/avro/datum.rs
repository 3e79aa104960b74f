//! The bytes of Avro's binary encoding, one value after the other. Nothing is allocated by what a length in them claims.

use super::super::Fault;
use super::plan::{Choice, Leaf};

/// What is left of a record.
#[derive(Clone, Copy)]
pub(super) struct Datum<'a>(pub(super) &'a [u8]);

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Bool(bool),
    /// An int or a long, still to be checked.
    Integer(i64),
    /// A float or a double, still to be checked.
    Number(f64),
    Text(&'a str),
}

/// What is wrong with the bytes, whatever they mean.
fn broken(what: &str) -> Fault {
    Fault::at("", format!("not a record of its schema: {what}"))
}

impl<'a> Datum<'a> {
    fn take(&mut self, number: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(number).ok_or_else(|| broken("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A long: seven bits a byte, the lowest first, zigzag.
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(broken("an integer has more than 64 bits"));
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(broken("an integer has more than 64 bits"))
    }

    /// A text, where it lies.
    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| broken("a length is negative"))?;
        std::str::from_utf8(self.take(length)?).map_err(|_| broken("a string is not UTF-8"))
    }

    /// The branch that a union is in, or the one type that there is; `None` is null.
    pub(super) fn branch<'p, T>(&mut self, choice: &'p Choice<T>) -> Result<Option<&'p T>, Fault> {
        let at = if choice.union { usize::try_from(self.long()?).ok() } else { Some(0) };
        let branch = at.and_then(|at| choice.branches.get(at)).ok_or_else(|| broken("a union has no such branch"))?;
        Ok(branch.as_ref())
    }

    /// A value.
    pub(super) fn leaf<'p: 'a>(&mut self, leaf: &'p Leaf) -> Result<Scalar<'a>, Fault> {
        Ok(match leaf {
            Leaf::Bool => match self.take(1)?[0] {
                0 => Scalar::Bool(false),
                1 => Scalar::Bool(true),
                _ => return Err(broken("a boolean is neither 0 nor 1")),
            },
            Leaf::Int => {
                let number = self.long()?;
                i32::try_from(number).map_err(|_| broken("an int has more than 32 bits"))?;
                Scalar::Integer(number)
            }
            Leaf::Long => Scalar::Integer(self.long()?),
            Leaf::Float => Scalar::Number(f32::from_le_bytes(self.array()?).into()),
            Leaf::Double => Scalar::Number(f64::from_le_bytes(self.array()?)),
            Leaf::Text => Scalar::Text(self.text()?),
            Leaf::Enum(symbols) => {
                let symbol = usize::try_from(self.long()?).ok().and_then(|at| symbols.get(at));
                Scalar::Text(symbol.ok_or_else(|| broken("an enum has no such symbol"))?)
            }
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// How many entries the next block of a map has; 0 ends it.
    pub(super) fn block(&mut self) -> Result<u64, Fault> {
        let entries = self.long()?;
        if entries < 0 {
            // Its bytes follow, for those who would skip it.
            self.long()?;
        }
        Ok(entries.unsigned_abs())
    }
}
