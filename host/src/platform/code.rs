//! Modules and their compiled code, by digest: what the guest engine keeps between processes and shares between replicas.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Platform, failed, statements};
use crate::error::Result;
use crate::guest::{Claim, CodeCache};
use crate::rules::Digest;

statements! {
    FETCH = "select code from module_code where digest = $1 and engine = $2";
    KEEP = "insert into module_code (digest, engine, code) values ($1, $2, $3) on conflict do nothing";
    CLAIM = "select pg_try_advisory_xact_lock(hashtextextended($1, 0))";
    COMPONENT = "select bytes from modules where digest = $1";
    COMPONENT_KEEP = "insert into modules (digest, bytes) values ($1, $2) on conflict do nothing";
}

impl CodeCache for Platform {
    fn fetch<'a>(&'a self, digest: Digest, engine: &'a str) -> BoxFuture<'a, Result<Option<Bytes>>> {
        Box::pin(async move {
            let code: Option<Vec<u8>> =
                sqlx::query_scalar(FETCH).bind(&digest.0[..]).bind(engine).fetch_optional(&self.pool).await.map_err(failed)?;
            Ok(code.map(Bytes::from))
        })
    }

    fn keep<'a>(&'a self, digest: Digest, engine: &'a str, component: Bytes, code: Bytes) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            sqlx::query(COMPONENT_KEEP).bind(&digest.0[..]).bind(&component[..]).execute(&self.pool).await.map_err(failed)?;
            sqlx::query(KEEP).bind(&digest.0[..]).bind(engine).bind(&code[..]).execute(&self.pool).await.map(drop).map_err(failed)
        })
    }

    /// A lock of a transaction that lasts as long as the claim, so that it is given back where the replica dies.
    fn claim<'a>(&'a self, digest: Digest, engine: &'a str) -> BoxFuture<'a, Result<Option<Claim>>> {
        Box::pin(async move {
            let mut transaction = self.begin_as_weir().await?;
            let of = format!("compile {digest} {engine}");
            let claimed: bool = sqlx::query_scalar(CLAIM).bind(of).fetch_one(&mut *transaction).await.map_err(failed)?;
            Ok(claimed.then(|| Box::new(transaction) as Claim))
        })
    }

    fn component(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async move {
            let bytes: Option<Vec<u8>> =
                sqlx::query_scalar(COMPONENT).bind(&digest.0[..]).fetch_optional(&self.pool).await.map_err(failed)?;
            Ok(bytes.map(Bytes::from))
        })
    }
}
