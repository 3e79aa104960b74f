//! The objects of `weir:validator@1` and the host's own.

use wasmtime::Store;

use self::exports::weir::validator::objects as wit;
use crate::guest::cut;
use crate::guest::grants::State;
use crate::guest::objects::{Beginning, Ending, ObjectFacts, Piece};

wasmtime::component::bindgen!({
    path: "wit/v1.1.0",
    world: "object-validator",
    with: {
        "weir:validator/config": super::granted::config,
        "weir:validator/log": super::granted::log,
    },
    imports: { default: trappable },
    exports: { default: async },
});

/// A fresh instance.
pub(in crate::guest) async fn instance(
    store: &mut Store<State>,
    module: &ObjectValidatorPre<State>,
) -> wasmtime::Result<ObjectValidator> {
    module.instantiate_async(store).await
}

pub(in crate::guest) async fn begin(
    store: &mut Store<State>,
    instance: &ObjectValidator,
    facts: &ObjectFacts,
) -> wasmtime::Result<Result<Beginning, String>> {
    let object = wit::Object {
        bucket: facts.bucket.clone(),
        name: facts.name.clone(),
        media_type: facts.media_type.clone(),
        size: facts.size,
        metadata: facts.metadata.clone(),
        subject: facts.subject.clone(),
    };
    let answer = instance.weir_validator_objects().call_begin(store, &object).await?;
    Ok(answer.map(|beginning| match beginning {
        wit::Beginning::Inspect => Beginning::Inspect,
        wit::Beginning::Pass => Beginning::Pass,
        wit::Beginning::Reject(reason) => Beginning::Reject(cut(&reason)),
    }))
}

pub(in crate::guest) async fn chunk(
    store: &mut Store<State>,
    instance: &ObjectValidator,
    bytes: &[u8],
) -> wasmtime::Result<Result<Piece, String>> {
    let answer = instance.weir_validator_objects().call_chunk(store, bytes).await?;
    Ok(answer.map(|piece| match piece {
        wit::Piece::Keep => Piece::Keep,
        wit::Piece::Replace(bytes) => Piece::Replace(bytes.into()),
        wit::Piece::Pass => Piece::Pass,
        wit::Piece::Reject(reason) => Piece::Reject(cut(&reason)),
    }))
}

pub(in crate::guest) async fn finish(
    store: &mut Store<State>,
    instance: &ObjectValidator,
) -> wasmtime::Result<Result<Ending, String>> {
    let answer = instance.weir_validator_objects().call_finish(store).await?;
    Ok(answer.map(|closing| match closing {
        wit::Closing::Store(wit::Ending { append, media_type }) => Ending::Store { append: append.into(), media_type },
        wit::Closing::Reject(reason) => Ending::Reject(cut(&reason)),
    }))
}
