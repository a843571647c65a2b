"""Classes are in one order everywhere: 2 comes before 10."""
import numpy as np
import pytest
from fastai.vision.augment import Resize
from fastai.vision.data import ImageDataLoaders

from imgcls.data.synth import scene_bytes
from imgcls.deploy.model import Model
from imgcls.explorer.confusion import predictions
from imgcls.studies.study import study
from imgcls.training.recipes import train

NAMES, ANIMALS = ['1', '2', '10'], ['fox', 'owl', 'frog']


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    root = tmp_path_factory.mktemp('digits')
    for name, animal in zip(NAMES, ANIMALS):
        (root/name).mkdir()
        for i in range(8): (root/name/f'{i}.jpg').write_bytes(scene_bytes(animal, i, side=48))
    return root


@pytest.mark.parametrize('recipe', ['fastai', 'frozen'])
def test_learners_name_classes_in_the_order_of_the_photos(digits, recipe):
    learn = train(digits, recipe, 'cifar_net', epochs=1, say=None)
    assert [*learn.dls.vocab] == NAMES
    x = [(learn.dls.valid_ds.items.label.iloc[i], NAMES[y]) for i, (_, y) in enumerate(learn.dls.valid_ds)]
    assert len(x) >= 3 and all(a == b for a, b in x)


def test_studies_models_and_predictions_agree(digits, tmp_path):
    st = study(digits, recipe='frozen', arch='cifar_net', epochs=2, sizes='all', seeds=1, out=tmp_path/'st',
               say=None)
    run, model = st.runs.run[0], Model.load(tmp_path/'st')
    assert st.classes == model.classes == predictions(st).classes == NAMES
    _, _, probs = model.scores(st.photos.test.path.tolist())
    assert np.abs(probs - st.probs(run)[-1]).max() < .01


def test_the_order_of_the_users_dataloaders_stays(digits):
    dls = ImageDataLoaders.from_folder(digits, valid_pct=.3, item_tfms=Resize(32), bs=4, num_workers=0)
    learn = train(dls, 'frozen', 'cifar_net', epochs=1, say=None)
    assert [*learn.dls.vocab] == [*dls.vocab] == sorted(NAMES)
