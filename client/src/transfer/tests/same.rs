use super::model::Model;
use super::*;
use sshome_wire::Features;

/// A server that knows stored digests.
fn knowing(files: &[(&str, &[u8])]) -> Model {
    Model { features: Features::SAME_CONTENT, ..Model::with(files) }
}

/// A server with a directory `/t` and these files in it, and the same files locally.
async fn with_tree(count: usize) -> (Model, World) {
    let model = knowing(&[("/t/", b"")]);
    let world = World::with(&model).await;
    for number in 0..count {
        let content = number.to_string().into_bytes();
        world.write(&format!("t/{number}"), &content);
        model.files.lock().unwrap().insert(format!("/t/{number}").into_bytes(), Some(content));
    }
    (model, world)
}

#[tokio::test]
async fn files_that_the_server_has_are_not_sent() {
    let (model, mut world) = with_tree(3000).await;
    world.write("t/5", b"X");
    world.write("t/77", b"longer");
    world.write("t/new/a", b"a");
    let summary = world.put(&["t"], "/", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.unchanged, summary.failures.count()), (3, 2998, 0));
    assert_eq!(
        ["/t/5", "/t/77", "/t/new/a"].map(|path| model.file(path).unwrap()),
        [&b"X"[..], b"longer", b"a"]
    );
    // Many are asked for with one question.
    let asked = model.asked.lock().unwrap().clone();
    assert!(asked.len() <= 3000 / 500 + 1 && asked.iter().sum::<usize>() <= 3001, "{asked:?}");
    // All are sent if that is wanted, and one that is named without -r always is.
    let all = TransferOptions { all: true, ..RECURSIVE };
    let summary = world.put(&["t"], "/", all).await.unwrap();
    assert_eq!((summary.files, summary.unchanged), (3001, 0));
    assert_eq!(world.put(&["t/1"], "/t", PLAIN).await.unwrap().files, 1);
    assert_eq!(model.asked.lock().unwrap().len(), asked.len());
}

#[tokio::test]
async fn a_new_tree_is_sent_without_a_question() {
    let model = knowing(&[("/dir/", b"")]);
    let mut world = World::with(&model).await;
    for number in 0..2000 {
        world.write(&format!("t/d{}/{number}", number % 7), number.to_string().as_bytes());
    }
    for target in ["/new", "/dir", "/dir/name"] {
        assert_eq!(world.put(&["t"], target, RECURSIVE).await.unwrap().files, 2000);
    }
    assert_eq!(model.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_new_directory_in_an_old_tree_is_not_asked_for_once_it_is_made() {
    let model = knowing(&[("/t/", b""), ("/t/a", b"a")]);
    let mut world = World::with(&model).await;
    world.write("t/a", b"a");
    for number in 0..20_000 {
        world.write(&format!("t/new/{number}"), b"x");
    }
    let summary = world.put(&["t"], "/", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.unchanged), (20_000, 1));
    let asked: usize = model.asked.lock().unwrap().iter().sum();
    assert!((1..10_000).contains(&asked), "{asked} questions");
}

#[tokio::test]
async fn an_old_server_is_sent_everything() {
    let (model, _) = with_tree(10).await;
    let model = Model { features: Features::default(), ..model };
    let mut world = World::with(&model).await;
    (0..10).for_each(|number| world.write(&format!("t/{number}"), number.to_string().as_bytes()));
    let summary = world.put(&["t"], "/", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.unchanged), (10, 0));
    assert_eq!(model.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn the_attributes_of_a_file_that_is_not_sent_are_set_if_they_differ() {
    let (model, mut world) = with_tree(3).await;
    let preserve = TransferOptions { preserve: true, ..RECURSIVE };
    // A key that may not change what exists gets its file all the same.
    for answer in [Status::Done, Status::Protected] {
        *model.attributes.lock().unwrap() = answer;
        let summary = world.put(&["t"], "/", preserve).await.unwrap();
        assert_eq!((summary.files, summary.unchanged, summary.failures.count()), (0, 3, 0));
    }
    *model.attributes.lock().unwrap() = Status::Failed;
    let summary = world.put(&["t"], "/", preserve).await.unwrap();
    assert_eq!((summary.files, summary.unchanged, summary.failures.count()), (0, 0, 3));
    // Without a difference nothing is asked.
    for number in 0..3 {
        let file = std::fs::File::open(world.path(&format!("t/{number}"))).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        local::set_mode(&file, 0o640).unwrap();
    }
    assert_eq!(world.put(&["t"], "/", preserve).await.unwrap().unchanged, 3);
}

#[tokio::test]
async fn a_local_file_with_the_stored_digest_is_not_fetched() {
    let (model, mut world) = with_tree(5).await;
    world.write("t/4", b"X");
    let summary = world.get(&["/t"], "", RECURSIVE).await.unwrap();
    assert_eq!((summary.files, summary.unchanged, summary.saved_as.count()), (1, 4, 1));
    assert_eq!((*model.sent.lock().unwrap(), model.asked.lock().unwrap().as_slice()), (1, &[5][..]));
    let preserve = TransferOptions { preserve: true, ..RECURSIVE };
    world.get(&["/t"], "", preserve).await.unwrap();
    let seen = std::fs::metadata(world.path("t/0")).unwrap();
    assert_eq!((mtime(&seen).seconds, local::mode(&seen)), (1_000_000_000, Some(0o640)));
    let all = TransferOptions { all: true, ..RECURSIVE };
    assert_eq!(world.get(&["/t"], "", all).await.unwrap().files, 5);
}
