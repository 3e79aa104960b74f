//! So many clients at once, each with its next request as soon as the one before has been answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::failure::{Doing as _, Result};

/// Makes the requests 0 up to `requests`, `at_once` of them at a time, and ends with the first that fails. What each comes to is added up.
pub async fn run<F, O>(requests: usize, at_once: usize, one: O) -> Result<u32>
where
    F: Future<Output = Result<u32>> + Send,
    O: Fn(usize) -> F + Clone + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..at_once {
        let (next, one) = (Arc::clone(&next), one.clone());
        clients.spawn(async move {
            let mut sum = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok(sum);
                }
                sum += one(number).await?;
            }
        });
    }
    let mut sum = 0;
    while let Some(done) = clients.join_next().await {
        sum += done.doing("a client broke off")??;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn each_request_is_made_once_until_one_fails() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let sum = runtime.block_on(run(100, 8, async |number| Ok(u32::try_from(number).unwrap())));
        assert_eq!(sum.unwrap(), 4_950);
        let failing = async |number| if number == 50 { Err(Failure::new("the fiftieth")) } else { Ok(0) };
        assert_eq!(runtime.block_on(run(100, 8, failing)).unwrap_err().to_string(), "the fiftieth");
    }
}
