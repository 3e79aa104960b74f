//! JSON Schemas compared: is every value that one accepts accepted by the other?
//!
//! The schema that data was written with is [`given::Given`]: what is known of a value. The schema that reads it is taken apart
//! into demands (`demand`), and each demand has to follow from what is given. Where the writer's schema leaves a choice (`anyOf`,
//! `oneOf`, `if`), each of its alternatives has to lead there. References are followed, and a pair of schemas that comes back
//! below itself counts as shown: a value has an end. `backward` compares old with new, `forward` new with old.
//!
//! **The lenient rule.** Where the writer's schema names properties of an object, a name that it leaves open and that the
//! reader's schema names is taken as *not written*. So an optional property may be added to an open object, and removed from it,
//! in both directions. Strictly, old data could hold that name with any value; but then nothing could ever be added to the open
//! objects that everybody writes, and nobody means that. It is no more than that: to close an object, to forbid a name (`false`),
//! to require one, or to narrow what unnamed properties may be, breaks as it does strictly. A name that is mentioned anywhere in
//! the writer's schema of the object is not open, and an object without `properties` is a map: any name may be written into it.
//! Items of arrays are compared strictly.
//!
//! Annotations never matter; `format` does in the drafts that have it checked (4, 6, 7), as in Weir's validator. That draft 4
//! takes 1.0 for no integer is passed over: those who write integers write them without a point.

mod arrays;
mod checker;
mod choices;
mod demand;
mod doc;
mod equal;
mod given;
mod holds;
mod kinds;
mod logic;
mod memory;
mod number;
mod objects;
mod open;
mod pattern;
mod references;
mod takes;

use serde_json::Value;

use self::checker::Checker;
use self::doc::Doc;
use super::{Break, Compatibility, Direction};

/// The breaks between two JSON Schemas that `mode` asks for; none where the new one keeps up with the old one.
///
/// Both are taken as they are: what Weir's registry does not take (references out of the definition) is reported as not
/// comparable.
pub fn json_breaks(old: &Value, new: &Value, mode: Compatibility) -> Vec<Break> {
    let (old, new) = (Doc::new(old), Doc::new(new));
    mode.directions().iter().flat_map(|direction| compared(&old, &new, *direction)).collect()
}

fn compared<'a>(old: &'a Doc<'a>, new: &'a Doc<'a>, direction: Direction) -> Vec<Break> {
    let mut checker = Checker::new(old, new, direction);
    if let Some(obstacle) = new.obstacle.or(old.obstacle) {
        if old.root != new.root {
            let reason = "a reference that is not `#/…` within the definition is not followed, so the versions cannot be shown \
                          to be compatible";
            let path = new.pointer_to(obstacle).or_else(|| old.pointer_to(obstacle)).unwrap_or_default();
            checker.breaks.add(path, reason.to_owned());
        }
        return checker.breaks.finish(true, false);
    }
    let (writer, reader) = match direction {
        Direction::Backward => (old.node(), new.node()),
        Direction::Forward => (new.node(), old.node()),
    };
    let given = checker.given(&[writer]);
    let shown = checker.check(&given, reader);
    checker.breaks.finish(shown, checker.gave_up)
}
