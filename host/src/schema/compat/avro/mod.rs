//! Avro schemas compared by the resolution rules of the Avro specification: can what one writes be read by the other?
//!
//! Numbers are promoted (int → long → float → double), string and bytes stand for one another, a field that the writer lacks
//! needs a default, one that the reader lacks is skipped. Records, enums and fixed types match by their names without the
//! namespace, or by an alias of the reader's. Every branch of a union that may be written needs one that reads it. A logical type
//! counts as what it is stored as, but for two decimals, which need the same precision and scale.

mod tree;

pub(in crate::schema) use self::tree::without_defaults;

use std::collections::{HashMap, HashSet};

use self::tree::{Field, Kind, Named, Tree, Type};
use super::{Break, Breaks, Compatibility, Direction, below, code};
use crate::error::Error;
use crate::limits::{COMPAT_DEPTH, COMPAT_STEPS};

/// The breaks between two Avro schemas that `mode` asks for; an error where one of them is none.
pub fn avro_breaks(old: &str, new: &str, mode: Compatibility) -> Result<Vec<Break>, Error> {
    let parsed = |definition: &str, which: &str| {
        let no_schema = |reason: String| Error::malformed(format!("The {which} version is no Avro schema: {reason}."));
        Tree::parse(definition).map_err(no_schema)
    };
    let (old, new) = (parsed(old, "old")?, parsed(new, "new")?);
    Ok(mode.directions().iter().flat_map(|direction| compared(&old, &new, *direction)).collect())
}

fn compared(old: &Tree, new: &Tree, direction: Direction) -> Vec<Break> {
    let (writer, reader) = match direction {
        Direction::Backward => (old, new),
        Direction::Forward => (new, old),
    };
    let mut resolver = Resolver {
        writer,
        reader,
        breaks: Breaks::new(direction),
        quiet: false,
        steps: 0,
        gave_up: false,
        under_way: Vec::new(),
        low: usize::MAX,
        known: HashMap::new(),
        reported: HashSet::new(),
    };
    let shown = resolver.reads(writer.root, reader.root);
    resolver.breaks.finish(shown, resolver.gave_up)
}

/// A type that is written and one that reads it.
type Pair = (usize, usize);

struct Resolver<'t> {
    writer: &'t Tree,
    reader: &'t Tree,
    breaks: Breaks,
    /// True while a branch of a union is tried.
    quiet: bool,
    steps: u64,
    gave_up: bool,
    under_way: Vec<Pair>,
    /// The lowest pair that was counted as readable because it is under way.
    low: usize,
    known: HashMap<Pair, bool>,
    reported: HashSet<Pair>,
}

impl<'t> Resolver<'t> {
    /// True where the reader's type reads all that is written with the writer's.
    fn reads(&mut self, written: usize, read: usize) -> bool {
        let (written, read) = (self.writer.resolve(written), self.reader.resolve(read));
        let pair = (written, read);
        self.steps += 1;
        self.gave_up |= self.steps > COMPAT_STEPS;
        if self.gave_up || self.breaks.full {
            return false;
        }
        match self.known.get(&pair) {
            Some(true) => return true,
            Some(false) if self.quiet || self.reported.contains(&pair) => return false,
            _ => {}
        }
        if let Some(at) = self.under_way.iter().position(|other| *other == pair) {
            self.low = self.low.min(at);
            return true;
        }
        let (own, theirs) = (&self.writer.types[written], &self.reader.types[read]);
        let frame = self.under_way.len();
        if frame >= COMPAT_DEPTH {
            let reason =
                format!("it goes on more than {COMPAT_DEPTH} types deep, so the versions cannot be shown to be compatible");
            return self.fail(Some(&theirs.at), Some(&own.at), || reason);
        }
        self.under_way.push(pair);
        let before = std::mem::replace(&mut self.low, usize::MAX);
        let shown = self.resolves(own, theirs, pair);
        self.under_way.pop();
        let low = std::mem::replace(&mut self.low, before);
        if low < frame {
            self.low = self.low.min(low);
        }
        let borrowed = shown && low < frame;
        if !self.gave_up && !borrowed {
            self.known.insert(pair, shown);
        }
        if !shown && !self.quiet {
            self.reported.insert(pair);
        }
        shown
    }

    fn resolves(&mut self, own: &'t Type, theirs: &'t Type, (written, read): Pair) -> bool {
        match (&own.kind, &theirs.kind) {
            (Kind::Union(branches), _) => self.all(branches, |resolver, branch| resolver.reads(*branch, read)),
            (_, Kind::Union(branches)) => self.one_of(own, theirs, written, branches),
            (Kind::Array(own), Kind::Array(theirs)) | (Kind::Map(own), Kind::Map(theirs)) => self.reads(*own, *theirs),
            (Kind::Record(name, fields), Kind::Record(theirs_name, theirs_fields)) => {
                self.names(name, theirs_name, own, theirs)
                    && self.all(theirs_fields, |resolver, field| resolver.field(fields, field, theirs_fields))
            }
            (Kind::Enum(name, symbols, _), Kind::Enum(theirs_name, theirs_symbols, default)) => {
                self.names(name, theirs_name, own, theirs) && (*default || self.symbols(own, symbols, theirs, theirs_symbols))
            }
            (Kind::Fixed(name, size), Kind::Fixed(theirs_name, theirs_size)) => {
                self.names(name, theirs_name, own, theirs)
                    && self.sizes(own, *size, theirs, *theirs_size)
                    && self.decimals(own, theirs)
            }
            (own_kind, kind) if own_kind.promotes_to(kind) => self.decimals(own, theirs),
            _ => {
                let change = self.changed(&own.kind.word(), &theirs.kind.word());
                self.fail(Some(&theirs.at), Some(&own.at), || change)
            }
        }
    }

    /// All of them, without asking further where a first one is enough to know.
    fn all<T>(&mut self, each: &'t [T], mut test: impl FnMut(&mut Self, &'t T) -> bool) -> bool {
        let mut shown = true;
        for one in each {
            shown &= test(self, one);
            if !shown && self.quiet {
                break;
            }
        }
        shown
    }

    /// A union of the reader's: one of its branches has to read it.
    fn one_of(&mut self, own: &'t Type, theirs: &'t Type, written: usize, branches: &'t [usize]) -> bool {
        let before = std::mem::replace(&mut self.quiet, true);
        let shown = branches.iter().any(|branch| self.reads(written, *branch));
        self.quiet = before;
        if shown || self.quiet {
            return shown;
        }
        // Where there is a branch of the same kind and name, it says what is wrong.
        let near = branches.iter().find(|branch| {
            let branch = &self.reader.types[self.reader.resolve(**branch)].kind;
            own.kind.is_like(branch)
        });
        if let Some(branch) = near {
            return self.reads(written, *branch);
        }
        let word = own.kind.word();
        let reason = match self.breaks.direction {
            Direction::Backward => format!("no branch of the union takes {word}, and data written before may hold one"),
            Direction::Forward => format!("it can be {word} now, and no branch of the version before takes that"),
        };
        self.fail(Some(&theirs.at), Some(&own.at), || reason)
    }

    /// A field of the reader's: read from the field of its name or of an alias, or made from its default.
    fn field(&mut self, written: &'t [Field], field: &'t Field, all: &'t [Field]) -> bool {
        let named = |name: &str| written.iter().find(|own| own.name == name);
        // What another field reads by its name is not there for an alias.
        let free = |own: &&Field| all.iter().all(|other| other.name != own.name);
        let own = named(&field.name).or_else(|| field.aliases.iter().find_map(|alias| named(alias).filter(free)));
        if let Some(own) = own {
            return self.reads(own.schema, field.schema);
        }
        let name = code(&field.name);
        let reason = match self.breaks.direction {
            Direction::Backward => format!("{name} is new and has no default, and data written before lacks it"),
            Direction::Forward => format!("{name} is gone, and the version before has no default for it"),
        };
        field.has_default || self.fail(Some(&field.at), None, || reason)
    }

    fn symbols(&mut self, own: &'t Type, symbols: &'t [String], theirs: &'t Type, known: &'t [String]) -> bool {
        let all: HashSet<&String> = known.iter().collect();
        let mut shown = true;
        for (at, symbol) in symbols.iter().enumerate().filter(|(_, symbol)| !all.contains(symbol)) {
            let name = code(symbol);
            let reason = match self.breaks.direction {
                Direction::Backward => {
                    format!("the symbol {name} is gone and there is no default, and data written before may hold it")
                }
                Direction::Forward => format!("the symbol {name} is new, and the version before has neither it nor a default"),
            };
            let place = below(&below(&own.at, "symbols"), &at.to_string());
            shown = self.fail(Some(&below(&theirs.at, "symbols")), Some(&place), || reason);
        }
        shown
    }

    fn names(&mut self, own: &Named, name: &Named, own_type: &'t Type, theirs: &'t Type) -> bool {
        let change = self.changed(&code(&own.full), &code(&name.full));
        own.is_read_by(name)
            || self.fail(Some(&below(&theirs.at, "name")), Some(&below(&own_type.at, "name")), || {
                change + "; names have to be the same, or an alias has to say so"
            })
    }

    fn sizes(&mut self, own: &'t Type, size: usize, theirs: &'t Type, read: usize) -> bool {
        let change = self.changed(&format!("{size} bytes"), &format!("{read} bytes"));
        size == read || self.fail(Some(&below(&theirs.at, "size")), Some(&below(&own.at, "size")), || change)
    }

    fn decimals(&mut self, own: &'t Type, theirs: &'t Type) -> bool {
        let (Some(one), Some(other)) = (own.decimal, theirs.decimal) else { return true };
        let word = |(precision, scale): (usize, usize)| format!("a decimal of precision {precision} and scale {scale}");
        let change = self.changed(&word(one), &word(other));
        one == other || self.fail(Some(&theirs.at), Some(&own.at), || change)
    }

    /// What something was and what it is, whichever of both the writer has.
    fn changed(&self, written: &str, read: &str) -> String {
        match self.breaks.direction {
            Direction::Backward => format!("it was {written} and is {read}, and data written before cannot be read as that"),
            Direction::Forward => format!("it was {read} and is {written}, and the version before cannot read that"),
        }
    }

    fn fail(&mut self, reader: Option<&str>, writer: Option<&str>, reason: impl FnOnce() -> String) -> bool {
        if !self.quiet && !self.gave_up {
            let place = match self.breaks.direction {
                Direction::Backward => reader.or(writer),
                Direction::Forward => writer.or(reader),
            };
            self.breaks.add(place.unwrap_or_default().to_owned(), reason());
        }
        false
    }
}
